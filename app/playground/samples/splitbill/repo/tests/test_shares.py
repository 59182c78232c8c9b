import pytest
from splitbill import shares, weighted_shares


def test_an_even_bill():
    assert shares(6420, ["ann", "bob", "cem"]) == {"ann": 2140, "bob": 2140, "cem": 2140}


def test_the_shares_add_up_to_the_bill():
    assert sum(shares(10000, ["ann", "bob", "cem"]).values()) == 10000


def test_weights():
    assert weighted_shares(9000, {"ann": 2, "bob": 1}) == {"ann": 6000, "bob": 3000}


def test_nobody_to_pay():
    with pytest.raises(ValueError):
        shares(100, [])


def test_a_weight_of_zero_is_refused():
    with pytest.raises(ValueError):
        weighted_shares(100, {"ann": 0})
