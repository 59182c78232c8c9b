"""Honk: a GitHub App that turns a labeled issue into a pull request a person can trust."""

__version__ = "0.1.0"
