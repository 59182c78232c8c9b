"""What a command of the policy builds from a published commit, in a sandbox without network."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from app.domain.build import MAX_FILES
from app.domain.policy import PreviewPolicy
from app.domain.run import Ground, RunInput
from app.domain.values import CommitSha
from app.errors import UserError
from app.runs.build_files import MAX_BUILD_BYTES, ReadFile, offered
from app.runs.checkouts import check_out
from app.runs.services import Services
from app.runs.steps import handoff
from app.runs.steps.set_up import set_up
from app.sandbox.spec import ResourceLimits
from app.sandbox.untrusted_files import NotReadableError, iter_files, open_file
from app.verify.archive import MAX_FILE_BYTES, ArchivedFile, BadArchiveError

BUILD_SECONDS = 300.0
_MOST_FILES = 5_000
_OUTPUT_SHOWN = 200


async def build_here(
    services: Services, run: RunInput, policy: PreviewPolicy, base: CommitSha, sha: CommitSha
) -> tuple[ReadFile, ...]:
    """Run the command in a clean checkout of the commit, set up as its tests were; return the files
    that it left.

    Raises BadArchiveError with the reason why there are none, and RetryableError when a service is
    unavailable.
    """
    assert policy.command is not None and policy.path is not None
    await handoff.fetch_commits(services, run, base, sha)
    tree = await services.mirrors.tree_of(run.trigger.repository, sha)
    workspace = await check_out(services, run, sha, f"{run.id}-preview")
    try:
        workspace = await set_up(services, run, workspace, Ground(commit=base), tree)
        limits = ResourceLimits(seconds=BUILD_SECONDS)
        spec = services.workspaces.spec(workspace, image=run.policy.image, limits=limits)
        completed = await services.sandbox.run(spec, ("bash", "-c", policy.command))
        completed.demand_a_sandbox()
        if not completed.ok:
            how = completed.how_it_ended or f"it exited with {completed.exit_code}"
            raise BadArchiveError(f"{how}: {completed.text.strip()[-_OUTPUT_SHOWN:]}")
        return await asyncio.to_thread(read_folder, workspace.path, policy.path)
    except UserError as problem:
        raise BadArchiveError(problem.message.rstrip(".")) from None
    finally:
        await services.workspaces.discard(workspace)


def read_folder(root: Path, folder: str) -> tuple[ReadFile, ...]:
    """The files of a folder that a command made: one by one, or as one archive if they are many or
    pages.

    Raises BadArchiveError.
    """
    folder = folder.rstrip("/")
    try:
        files = list(_files(root, folder))
    except (NotReadableError, OSError):
        raise BadArchiveError(f"the folder {folder} is missing or has links") from None
    pages = any(each.name.lower().endswith((b".html", b".htm")) for each in files)
    if len(files) > MAX_FILES or pages:
        files = [ArchivedFile(folder.encode().rpartition(b"/")[2] + b".zip", _zipped(files))]
    return offered(files)


def _files(root: Path, folder: str) -> Iterator[ArchivedFile]:
    room = MAX_BUILD_BYTES
    for number, path in enumerate(iter_files(root, folder, max_files=_MOST_FILES + 1)):
        if number == _MOST_FILES:
            raise BadArchiveError(f"it made more than {_MOST_FILES:,} files")
        limit = min(MAX_FILE_BYTES, room)
        with open_file(root, path) as file:
            content = file.read(limit + 1)
        if len(content) > limit:
            raise BadArchiveError(f"its files are larger than {limit // 2**20} MiB")
        room -= len(content)
        name = path.removeprefix(f"{folder}/").encode("utf-8", "surrogateescape")
        yield ArchivedFile(name, content)


def _zipped(files: list[ArchivedFile]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for each in files:
            # The date of an entry would make every archive different.
            entry = zipfile.ZipInfo(each.name.decode("utf-8", "backslashreplace"))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, each.content)
    return packed.getvalue()
