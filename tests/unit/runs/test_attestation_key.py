"""The key that signs attestations: the operator's, or one generated on this machine."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.errors import UserError
from app.runs import attestation_key
from tests.support.keys import key_pem, signing_key


def test_the_operators_key_is_used_and_no_file_is_made(tmp_path: Path) -> None:
    key, pem = attestation_key.load(SecretStr(key_pem(1)), tmp_path)
    assert key.public == signing_key(1).public
    assert pem.get_secret_value() == key_pem(1)
    assert not list(tmp_path.iterdir())


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with ThreadPoolExecutor(8) as several:
        keys = {
            each.public.key_id
            for each, _ in several.map(lambda _: attestation_key.load(None, home), range(24))
        }
    assert len(keys) == 1
    (made,) = home.iterdir()
    assert (made.name, made.stat().st_mode & 0o777) == ("attestation-key.pem", 0o600)
    again, pem = attestation_key.load(None, home)
    assert {again.public.key_id} == keys
    assert "PRIVATE KEY" in pem.get_secret_value()
    assert "PRIVATE KEY" not in repr(pem)


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    attestation_key.load(None, tmp_path)
    (tmp_path / "attestation-key.pem").chmod(0o640)
    with pytest.raises(UserError, match="other users") as caught:
        attestation_key.load(None, tmp_path)
    assert "chmod 600" in caught.value.next_step


@pytest.mark.parametrize("text", ["", "secret-text", "-----BEGIN RSA PRIVATE KEY-----"])
def test_a_key_that_cannot_sign_is_named_and_not_shown(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match="HONK_ATTESTATION_KEY cannot sign") as caught:
        attestation_key.load(SecretStr(text), tmp_path)
    assert "secret-text" not in str(caught.value)
    assert "openssl genpkey" in caught.value.next_step
