"""Which environment variables a repository may set for its setup, its tests and the agent. Pure.

A repository's own automation and its policy file set variables such as `DATABASE_URL`. Others
decide which programs run, where packages come from, what the network is, or how Honk counts
tests; those belong to Honk and the sandbox.
"""

from __future__ import annotations

import re

MAX_VARIABLES = 100
MAX_VALUE_LENGTH = 2000

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]*")

# Compared in upper case, since several clients read their variables in any case.
_HARMLESS = frozenset(
    {
        "NODE_ENV",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONFAULTHANDLER",
        "PYTHONHASHSEED",
        "PYTHONIOENCODING",
        "PYTHONUNBUFFERED",
        "PYTHONUTF8",
        "PYTHONWARNINGS",
        "PYTHONASYNCIODEBUG",
        "RUST_BACKTRACE",
        "RUST_LOG",
    }
)
_OWNED = re.compile(
    # The shell, programs and folders.
    r"PATH|.*_PATH|CDPATH|HOME|USER|LOGNAME|SHELL|PWD|OLDPWD|TMPDIR|TMP|TEMP|IFS|ENV|TERM"
    r"|BASH.*|SHELLOPTS|PS[0-9]|PROMPT_COMMAND|ZDOTDIR|KSH.*|POSIXLY_CORRECT|GLOBIGNORE"
    r"|EDITOR|VISUAL|PAGER|.*_PAGER|BROWSER|.*_EDITOR|LESSOPEN|LESSCLOSE|XDG_.*"
    # The loader and the C library.
    r"|LD_.*|DYLD_.*|GCONV_.*|GLIBC_.*|LOCPATH|NLSPATH|MALLOC_.*|RES_OPTIONS|HOSTALIASES|LOCALDOMAIN"
    # The network, certificates and registries.
    r"|.*_?PROXY|SSL_.*|.*_CERT|.*_CERTS|.*_CA|.*_CA_.*|.*_CAFILE|.*_CAINFO|CURL_.*|WGET.*|.*NETRC"
    r"|.*_INDEX|.*_INDEX_URL|.*_REGISTRY|.*_REGISTRIES_.*|.*_MIRROR|.*_MIRRORS?_.*|SSH_.*|GIT.*"
    # Interpreters and their startup code.
    r"|PYTHON.*|VIRTUAL_ENV.*|CONDA.*|NODE_.*|RUBY.*|GEM_.*|PERL.*|PERL5.*|LUA.*|PHP.*|GO[A-Z0-9]+"
    r"|CGO_.*|GCCGO|CARGO.*|RUST.*|_?JAVA_.*|JDK_.*|JVM_.*|CLASSPATH|M2.*|MAVEN.*|MVN.*|GRADLE.*"
    r"|.*_OPTS|.*_WRAPPER"
    # Package managers.
    r"|PIP_.*|PIPENV.*|PIPX.*|UV_.*|POETRY.*|PDM_.*|HATCH.*|TOX.*|NOX.*|NPM_.*|YARN.*|PNPM.*|BUN_.*"
    r"|COREPACK.*|BUNDLE.*|COMPOSER.*|HEX_.*|MIX_(?:HOME|ARCHIVES)|NUGET.*|DOTNET_.*|MISE_.*|ASDF_.*"
    # Tools that count tests.
    r"|PYTEST_.*|PY_.*|COVERAGE_PROCESS_START|COV_CORE_.*|JEST_.*|VITEST.*|MOCHA_.*|AVA_.*|SPEC_OPTS"
    r"|TESTOPTS|MAKEFLAGS|MFLAGS|GNUMAKEFLAGS|MAKEFILES"
    # Honk, its host and its services.
    r"|HONK.*|ANTHROPIC.*|GITHUB.*|GH_.*|ACTIONS_.*|RUNNER_.*|DBOS.*|OTEL_.*"
)


def refusal(name: str, value: str = "") -> str:
    """Why a repository may not set this variable, as a phrase; empty if it may."""
    if not _NAME.fullmatch(name):
        return "the name of a variable has only letters, digits and underscores"
    if _is_owned(name):
        return "Honk or its sandbox sets this variable itself"
    if len(value) > MAX_VALUE_LENGTH:
        return f"the value has more than {MAX_VALUE_LENGTH} characters"
    if not _VALUE.fullmatch(value):
        return "the value holds a line break or a control character"
    return ""


def _is_owned(name: str) -> bool:
    upper = name.upper()
    return upper not in _HARMLESS and _OWNED.fullmatch(upper) is not None
