"""The flood of deliveries in its short form; `make faults ONLY=deliveries` sends 10,000."""

from __future__ import annotations

import pytest

from tests.faults import deliveries


@pytest.mark.slow
async def test_whatever_happens_to_deliveries_each_trigger_has_one_run() -> None:
    told = await deliveries.measured(deliveries.SHORT)

    assert told["deliveries sent"] == "200"
    assert told["runs in the database"] == told["triggers"] == "40"
    assert int(told["accepted from there"]) > 0
