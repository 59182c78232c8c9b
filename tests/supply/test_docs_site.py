"""The documentation as a site: `make docs`."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_SITE = _ROOT / "dist" / "docs"
_LOADED = re.compile(
    r"""<(?:script|img|iframe|source)[^>]*\ssrc=["']?(?:https?:)?//"""
    r"""|<link[^>]*rel=["']?(?:stylesheet|preload|icon)[^>]*href=["']?(?:https?:)?//"""
    r"""|url\(["']?(?:https?:)?//|@import\s+["'](?:https?:)?//"""
)


@pytest.mark.slow
def test_the_site_has_search_and_loads_nothing_from_other_hosts() -> None:
    done = subprocess.run(["make", "docs"], cwd=_ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'href="docs/index.html"' in (_SITE / "index.html").read_text()
    assert "quickstart" in (_SITE / "searchindex.js").read_text()
    pages = [*_SITE.rglob("*.html"), *_SITE.rglob("*.css")]
    assert len(pages) > 25
    assert not [
        f"{page.relative_to(_SITE)}: {found[0]}"
        for page in pages
        if (found := _LOADED.search(page.read_text()))
    ]
