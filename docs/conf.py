"""The documentation as a site: `make docs`. Pages are Markdown that also reads well on GitHub.

The source directory is the repository, so links between README, docs/ and other files work in
both places. The built pages load nothing from another host.
"""

from __future__ import annotations

from typing import Any

NAVIGATION = {
    "Start": (
        "README",
        "docs/quickstart",
        "docs/first-policy",
        "docs/how-it-works",
        "docs/commands",
        "docs/troubleshooting",
    ),
    "Reference": (
        "docs/policy",
        "docs/policy-reference",
        "docs/verification",
        "docs/first-contact",
        "docs/every-pull-request",
        "docs/previews",
        "docs/attestations",
    ),
    "Run it": (
        "docs/operations",
        "docs/settings",
        "docs/engines",
        "docs/slack",
        "docs/report",
        "CHANGELOG",
    ),
    "In the terminal": ("docs/local-use", "docs/playground", "docs/evaluation"),
    "Security and trust": (
        "docs/security",
        "SECURITY",
        "docs/trust",
        "docs/security-table",
        "docs/faults",
        "docs/fuzz",
    ),
    "Work on Honk": ("CONTRIBUTING", "docs/design", "docs/benchmarks"),
}
"""The pages of the side bar, by heading."""

project = "Honk"
html_title = "Honk"
extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/*.md"]
exclude_patterns = ["*/**/node_modules", "app", "benchmarks", "deploy", "dist", "tests", ".*"]
nitpicky = True

# Links to headings, by the names that GitHub gives them.
myst_heading_anchors = 4
# Example code has languages that its text does not always follow.
suppress_warnings = ["misc.highlighting_failure"]
highlight_language = "none"

html_theme = "furo"
html_theme_options = {"sidebar_hide_name": False}
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
html_extra_path = ["site"]


def _add_navigation(app: Any, page: str, source: list[str]) -> None:
    """Give the first page the table of contents that the side bar shows."""
    if page == root_doc:
        for heading, pages in NAVIGATION.items():
            entries = "\n".join(f"/{name}" for name in pages)
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {heading}\n\n{entries}\n```\n"


def setup(app: Any) -> dict[str, bool]:
    """Sphinx calls this with the application."""
    app.connect("source-read", _add_navigation)
    return {"parallel_read_safe": True}
