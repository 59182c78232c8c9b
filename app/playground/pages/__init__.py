"""The web pages of the playground's GitHub."""

from .app import github_with_pages

__all__ = ["github_with_pages"]
