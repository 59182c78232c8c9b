"""Which malformed objects a fetch accepts, by git's message ids (git-fsck(1), "fsck-msgids").

GitHub serves histories written by older tools and checks pushes less strictly than git does by
default. A fetch accepts harmless defects; every other kind, known or not, keeps git's own severity.
Packs from a sandbox and objects that Honk writes get none of these exceptions.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FsckKind:
    """One kind of malformed object. `why` says why a fetch accepts or refuses it."""

    name: str
    why: str


_ONLY_SHOWN = "people and times of old commits are shown to people; nothing is decided by them"
_TAG = "a tag's own header is not read; what counts is the commit that it leads to"
_ONE_READING = "git itself reads it in one way only, in every command"
_TWO_READINGS = "what is checked out and what is compared could differ"
_NO_NAME = "a checkout could write outside of its folder, or into `.git`"
_SUBMODULES = "a crafted file can make `git submodule` run commands or write elsewhere"
_NOT_WHOLE = "the object cannot be read, or leads to nothing"

ACCEPTED = (
    FsckKind("badDate", _ONLY_SHOWN),
    FsckKind("badDateOverflow", _ONLY_SHOWN),
    FsckKind("badEmail", _ONLY_SHOWN),
    FsckKind("badName", _ONLY_SHOWN),
    FsckKind("badTimezone", f"{_ONLY_SHOWN} (psf/requests, rails/rails, boto/boto)"),
    FsckKind("missingAuthor", _ONLY_SHOWN),
    FsckKind("missingCommitter", _ONLY_SHOWN),
    FsckKind("missingEmail", _ONLY_SHOWN),
    FsckKind("missingNameBeforeEmail", _ONLY_SHOWN),
    FsckKind("missingSpaceBeforeDate", _ONLY_SHOWN),
    FsckKind("missingSpaceBeforeEmail", _ONLY_SHOWN),
    FsckKind("multipleAuthors", _ONLY_SHOWN),
    FsckKind("zeroPaddedDate", _ONLY_SHOWN),
    FsckKind("nulInCommit", "git's reading of a message ends there, in every command"),
    FsckKind("zeroPaddedFilemode", f"{_ONE_READING} (rails/rails, spree/spree, ohmyzsh/ohmyzsh)"),
    FsckKind("badFilemode", f"{_ONE_READING}: 100664 is 100644"),
    FsckKind("gitattributesLineLength", "git skips such a line, and no attribute is obeyed here"),
    FsckKind("badTagName", _TAG),
    FsckKind("missingTaggerEntry", _TAG),
    FsckKind("extraHeaderEntry", _TAG),
    FsckKind("badGpgsig", "Honk trusts no signature"),
    FsckKind("badHeaderContinuation", "Honk trusts no signature"),
)
"""What a fetch accepts. Each was seen in a public repository, or is the same defect in another
field of the same header line."""

REFUSED = (
    FsckKind("hasDotgit", _NO_NAME),
    FsckKind("hasDotdot", _NO_NAME),
    FsckKind("hasDot", _NO_NAME),
    FsckKind("emptyName", _NO_NAME),
    FsckKind("fullPathname", _NO_NAME),
    FsckKind("largePathname", "no file system takes such a name"),
    FsckKind("treeNotSorted", _TWO_READINGS),
    FsckKind("duplicateEntries", _TWO_READINGS),
    FsckKind("gitmodulesBlob", _SUBMODULES),
    FsckKind("gitmodulesLarge", _SUBMODULES),
    FsckKind("gitmodulesMissing", _SUBMODULES),
    FsckKind("gitmodulesName", _SUBMODULES),
    FsckKind("gitmodulesPath", _SUBMODULES),
    FsckKind("gitmodulesSymlink", _SUBMODULES),
    FsckKind("gitmodulesUpdate", _SUBMODULES),
    FsckKind("gitmodulesUrl", _SUBMODULES),
    FsckKind("symlinkPointsToGitDir", "a checkout could write into `.git` through the link"),
    FsckKind("gitattributesBlob", "git cannot read the file"),
    FsckKind("gitattributesLarge", "larger than GitHub takes a file"),
    FsckKind("gitattributesMissing", _NOT_WHOLE),
    FsckKind("badObjectSha1", _NOT_WHOLE),
    FsckKind("badParentSha1", _NOT_WHOLE),
    FsckKind("badTree", _NOT_WHOLE),
    FsckKind("badTreeSha1", _NOT_WHOLE),
    FsckKind("badType", _NOT_WHOLE),
    FsckKind("missingObject", _NOT_WHOLE),
    FsckKind("missingTag", _NOT_WHOLE),
    FsckKind("missingTagEntry", _NOT_WHOLE),
    FsckKind("missingTree", _NOT_WHOLE),
    FsckKind("missingType", _NOT_WHOLE),
    FsckKind("missingTypeEntry", _NOT_WHOLE),
    FsckKind("nulInHeader", _NOT_WHOLE),
    FsckKind("nullSha1", _NOT_WHOLE),
    FsckKind("unknownType", _NOT_WHOLE),
    FsckKind("unterminatedHeader", _NOT_WHOLE),
)
"""What a fetch refuses, whatever git's own severity is."""

LEFT_TO_GIT = (
    FsckKind("gitattributesSymlink", "git does not follow the link"),
    FsckKind("gitignoreSymlink", "git does not follow the link"),
    FsckKind("mailmapSymlink", "git does not follow the link"),
    FsckKind("gitmodulesParse", "who cannot read the file finds no submodule in it"),
    FsckKind("symlinkTargetBlob", "only reported"),
    FsckKind("symlinkTargetLength", "only reported"),
    FsckKind("symlinkTargetMissing", "only reported"),
)
"""What git itself reports but accepts."""

FETCH_SETTINGS = tuple(f"fetch.fsck.{kind.name}=ignore" for kind in ACCEPTED)
"""For git-config(1), `fetch.fsck.<msg-id>`. Git ignores ids that it does not know."""


def why_refused(name: str) -> str:
    """Why a fetch refuses this kind; empty for an unlisted one."""
    return next((kind.why for kind in REFUSED if kind.name == name), "")
