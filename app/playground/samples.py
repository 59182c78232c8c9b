"""The sample projects that come with Honk: repositories, issues, and what the scripted model does.

Each folder of `samples/` is one project: `repo/` holds its files, `issues/<nn>-<slug>.md` an issue
(the first line is its title), and `scripts/<nn>-<slug>.yml` the model's turns on that issue.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.playground.model import ModelScript, Responder, ScriptedTurn

_FOLDER = Path(__file__).parent / "samples"
FIRST = "splitbill"
"""The project whose first issue the demo works on."""

UNSCRIPTED = ModelScript(
    (
        ScriptedTurn(
            use=(
                {
                    "finish": {
                        "summary": "This demo runs a scripted model that only knows the sample "
                        "issues: try one of them, with `/honk plan`, `/honk ask` or the label "
                        "`honk`. To have the real model work on this, set `ANTHROPIC_API_KEY` and "
                        "restart the playground.",
                        "not_done": "What was asked.",
                        "how_to_check": "",
                    }
                },
            )
        ),
    )
)
"""The scripted model's turns on an issue that is not a sample's."""


@dataclass(frozen=True)
class SampleIssue:
    """An issue, and the turns of a model that works on it."""

    title: str
    body: str
    script: ModelScript


@dataclass(frozen=True)
class Sample:
    """A project by path and content. Its issues are numbered from 1 in their order."""

    name: str
    files: Mapping[str, bytes]
    issues: tuple[SampleIssue, ...]


def load() -> tuple[Sample, ...]:
    """Every sample; `FIRST` comes first. Raises UserError for an invalid script."""
    folders = sorted(
        (folder for folder in _FOLDER.iterdir() if (folder / "repo").is_dir()),
        key=lambda folder: (folder.name != FIRST, folder.name),
    )
    return tuple(_sample(folder) for folder in folders)


def scripts(samples: Iterable[Sample], owner: str) -> dict[str, Responder]:
    """The script for each subject; the samples belong to `owner`, their issues come first."""
    return {
        f"{owner}/{sample.name}#{number}": issue.script
        for sample in samples
        for number, issue in enumerate(sample.issues, 1)
    }


def _sample(folder: Path) -> Sample:
    issues = sorted((folder / "issues").glob("*.md"))
    return Sample(
        name=folder.name,
        files=_files(folder / "repo"),
        issues=tuple(_issue(path, folder / "scripts" / f"{path.stem}.yml") for path in issues),
    )


def _issue(path: Path, script: Path) -> SampleIssue:
    title, body = title_and_body(path.read_text("utf-8"))
    return SampleIssue(title, body, ModelScript.load(script))


def title_and_body(text: str) -> tuple[str, str]:
    """An issue from a file: the first line, without its `#`, is the title."""
    title, _, body = text.strip().partition("\n")
    return title.lstrip("# ").strip(), body.strip()


def _files(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
