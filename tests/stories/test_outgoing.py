"""Text of the model and the issue reaches GitHub as plain text, escaped for its place."""

from __future__ import annotations

import pytest
from markdown_it import MarkdownIt

from app.playground.pages.markdown import mentions
from tests.support.harness import FIX, Harness, script

pytestmark = pytest.mark.asyncio(loop_scope="session")

SUMMARY = """Sums add. Thanks &commat;octocat, this fixes &num;7 [skip ci]

/deploy production

# Test results

**900 passed**[^1]

Run `npm i @types/node` or

```sh
/approve && pytest -k "List<int>"
```

skip-checks: true
Signed-off-by: Somebody <some@body.test>

[^1]: Verified by Honk.

- in a list
  ```
  that never ends
"""


async def test_untrusted_text_has_no_effect_on_github(harness: Harness) -> None:
    subject = await harness.subject(
        title="List<int> sums wrongly [skip ci]",
        plays=script([FIX, {"verify": {}}], {"finish": {"summary": SUMMARY}}),
    )
    await subject.label()
    await subject.settled()

    pull = subject.pull
    assert pull.title == "List<int> sums wrongly (skip ci)"
    assert pull.pull is not None
    message = await subject.git("log", "-1", "--format=%B", pull.pull.head_sha)
    assert message.startswith("List<int> sums wrongly (skip ci)\n\n")
    assert "[skip ci]" not in message
    assert "skip-checks" not in message
    trailers = await subject.git(
        "log", "-1", "--format=%(trailers:key=Signed-off-by)", pull.pull.head_sha
    )
    assert not trailers.strip()
    assert 'pytest -k "List<int>"' in message

    body = pull.body or ""
    assert body.index("**Proven.**") < body.index("## Changes")
    assert "\n#### Test results\n" in body
    assert "`npm i @types/node`" in body
    assert '> /approve && pytest -k "List<int>"' in body
    assert "\n`/deploy` production\n" in body
    assert "this fixes `#7`" in body
    tokens = MarkdownIt("gfm-like").parse(body)
    ours = [token for token in tokens if token.content.startswith("<sub>")]
    assert [token.level for token in ours] == [1]
    assert not mentions(body)
