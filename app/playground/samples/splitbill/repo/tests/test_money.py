import pytest
from splitbill import cents, show


@pytest.mark.parametrize(
    ("text", "expected"),
    [("12", 1200), ("12.5", 1250), ("12.50", 1250), ("0.07", 7), (" 3.10 ", 310)],
)
def test_reads_amounts(text, expected):
    assert cents(text) == expected


@pytest.mark.parametrize("text", ["", "-1", "1,50", "1.234", "ten", "1."])
def test_refuses_what_is_no_amount(text):
    with pytest.raises(ValueError):
        cents(text)


@pytest.mark.parametrize("amount", [0, 7, 99, 100, 123456])
def test_shows_what_it_reads(amount):
    assert cents(show(amount)) == amount
