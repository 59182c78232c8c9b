"""The pages of the playground's GitHub: what a person sees in a browser and on a phone."""

from .app import github_with_pages

__all__ = ["github_with_pages"]
