"""Splits a bill between friends, to the cent."""

from splitbill.money import cents, show
from splitbill.shares import shares, weighted_shares

__all__ = ["cents", "shares", "show", "weighted_shares"]
