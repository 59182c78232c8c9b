"""The names of Honk's check runs, which branch rules may require. Pure."""

from __future__ import annotations

TESTS_CHECK = "honk / tests"
REVIEW_CHECK = "honk / review"
