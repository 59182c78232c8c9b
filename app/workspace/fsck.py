"""Which malformed objects a fetch takes in, by git's kinds of them (git-fsck(1), "fsck-msgids").

GitHub serves histories that older tools wrote, and checks a push less strictly than git does by
default. What cannot harm is accepted in a fetch; every other kind, known or not, keeps git's own
severity. What a sandbox packs and what Honk writes is checked with none of these exceptions.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
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
    Kind("badDate", _ONLY_SHOWN),
    Kind("badDateOverflow", _ONLY_SHOWN),
    Kind("badEmail", _ONLY_SHOWN),
    Kind("badName", _ONLY_SHOWN),
    Kind("badTimezone", f"{_ONLY_SHOWN} (psf/requests, rails/rails, boto/boto)"),
    Kind("missingAuthor", _ONLY_SHOWN),
    Kind("missingCommitter", _ONLY_SHOWN),
    Kind("missingEmail", _ONLY_SHOWN),
    Kind("missingNameBeforeEmail", _ONLY_SHOWN),
    Kind("missingSpaceBeforeDate", _ONLY_SHOWN),
    Kind("missingSpaceBeforeEmail", _ONLY_SHOWN),
    Kind("multipleAuthors", _ONLY_SHOWN),
    Kind("zeroPaddedDate", _ONLY_SHOWN),
    Kind("nulInCommit", "git's reading of a message ends there, in every command"),
    Kind("zeroPaddedFilemode", f"{_ONE_READING} (rails/rails, spree/spree, ohmyzsh/ohmyzsh)"),
    Kind("badFilemode", f"{_ONE_READING}: 100664 is 100644"),
    Kind("gitattributesLineLength", "git skips such a line, and no attribute is obeyed here"),
    Kind("badTagName", _TAG),
    Kind("missingTaggerEntry", _TAG),
    Kind("extraHeaderEntry", _TAG),
    Kind("badGpgsig", "Honk trusts no signature"),
    Kind("badHeaderContinuation", "Honk trusts no signature"),
)
"""What a fetch takes in; each was seen in public repositories, or differs from one that was by its
place in the same line."""

REFUSED = (
    Kind("hasDotgit", _NO_NAME),
    Kind("hasDotdot", _NO_NAME),
    Kind("hasDot", _NO_NAME),
    Kind("emptyName", _NO_NAME),
    Kind("fullPathname", _NO_NAME),
    Kind("largePathname", "no file system takes such a name"),
    Kind("treeNotSorted", _TWO_READINGS),
    Kind("duplicateEntries", _TWO_READINGS),
    Kind("gitmodulesBlob", _SUBMODULES),
    Kind("gitmodulesLarge", _SUBMODULES),
    Kind("gitmodulesMissing", _SUBMODULES),
    Kind("gitmodulesName", _SUBMODULES),
    Kind("gitmodulesPath", _SUBMODULES),
    Kind("gitmodulesSymlink", _SUBMODULES),
    Kind("gitmodulesUpdate", _SUBMODULES),
    Kind("gitmodulesUrl", _SUBMODULES),
    Kind("symlinkPointsToGitDir", "a checkout could write into `.git` through the link"),
    Kind("gitattributesBlob", "git cannot read the file"),
    Kind("gitattributesLarge", "larger than GitHub takes a file"),
    Kind("gitattributesMissing", _NOT_WHOLE),
    Kind("badObjectSha1", _NOT_WHOLE),
    Kind("badParentSha1", _NOT_WHOLE),
    Kind("badTree", _NOT_WHOLE),
    Kind("badTreeSha1", _NOT_WHOLE),
    Kind("badType", _NOT_WHOLE),
    Kind("missingObject", _NOT_WHOLE),
    Kind("missingTag", _NOT_WHOLE),
    Kind("missingTagEntry", _NOT_WHOLE),
    Kind("missingTree", _NOT_WHOLE),
    Kind("missingType", _NOT_WHOLE),
    Kind("missingTypeEntry", _NOT_WHOLE),
    Kind("nulInHeader", _NOT_WHOLE),
    Kind("nullSha1", _NOT_WHOLE),
    Kind("unknownType", _NOT_WHOLE),
    Kind("unterminatedHeader", _NOT_WHOLE),
)
"""What a fetch refuses, whatever git's own severity is."""

LEFT_TO_GIT = (
    Kind("gitattributesSymlink", "git does not follow the link"),
    Kind("gitignoreSymlink", "git does not follow the link"),
    Kind("mailmapSymlink", "git does not follow the link"),
    Kind("gitmodulesParse", "who cannot read the file finds no submodule in it"),
    Kind("symlinkTargetBlob", "only reported"),
    Kind("symlinkTargetLength", "only reported"),
    Kind("symlinkTargetMissing", "only reported"),
)
"""What git reports and takes in by itself."""

FETCH_SETTINGS = tuple(f"fetch.fsck.{kind.name}=ignore" for kind in ACCEPTED)
"""For git-config(1), `fetch.fsck.<msg-id>`. A kind that this git does not know changes nothing."""


def why_refused(name: str) -> str:
    """Why a fetch does not take this kind in; empty for one that has no row here."""
    return next((kind.why for kind in REFUSED if kind.name == name), "")
