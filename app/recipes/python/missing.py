"""What a Python setup can lack, and what a person can do about it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from app.domain.setup_plan import Missing
from app.recipes.python.manifests import PythonProject
from app.recipes.reasons import git_dependency

_IMAGE = 'image: "NAME@sha256:DIGEST"'
_SHOWN = 10
_PROGRAMS = {
    r"pg_config|libpq-fe\.h": ("libpq", "libpq-dev"),
    r"Python\.h: No such file": ("the headers of Python", "python3-dev"),
    r"libxml/\w+\.h|xml2-config|xslt-config|libxslt": ("libxml2", "libxml2-dev libxslt1-dev"),
    r"ffi\.h: No such file": ("libffi", "libffi-dev"),
    r"mysql_config|Can not find valid pkg-config name": (
        "the MySQL client library",
        "default-libmysqlclient-dev pkg-config",
    ),
    r"can't find Rust compiler|cargo: not found|Rust not found|requires Rust": (
        "Rust",
        "rustc cargo",
    ),
    r"openssl/\w+\.h": ("OpenSSL's headers", "libssl-dev"),
    r"krb5-config": ("Kerberos", "libkrb5-dev"),
    r"lber\.h|ldap\.h": ("OpenLDAP", "libldap-dev libsasl2-dev"),
    r"gdal-config": ("GDAL", "libgdal-dev"),
    r"geos-config|geos_c\.h": ("GEOS", "libgeos-dev"),
    r"Unknown compiler\(s\): \[\['gfortran'|gfortran: (?:command )?not found": (
        "a Fortran compiler",
        "gfortran",
    ),
    r"portaudio\.h": ("PortAudio", "portaudio19-dev"),
    r"jpeglib\.h|headers or library files could not be found for jpeg": (
        "libjpeg",
        "libjpeg-dev zlib1g-dev",
    ),
    r"zlib\.h: No such file": ("zlib", "zlib1g-dev"),
    r"sql\.h: No such file": ("unixODBC", "unixodbc-dev"),
    r"swig: (?:command )?not found|swig failed|'swig'": ("SWIG", "swig"),
    r"CMake must be installed|cmake: not found|No CMAKE": ("CMake", "cmake"),
    r"libmagic": ("libmagic", "libmagic1"),
    r"command '?(?:[\w-]+-)?(?:gcc|cc|g\+\+|clang)'? failed: No such file"
    r"|unable to execute '(?:gcc|cc)'|Unknown compiler\(s\)|No C compiler": (
        "a C compiler",
        "gcc libc6-dev",
    ),
}
_HEADER = re.compile(r"fatal error: ([\w./-]{1,80}\.h(?:pp)?): No such file")
_ABSENT = re.compile(
    r"(?:Because |No matching distribution found for |and )([A-Za-z0-9][\w.-]{0,99})"
    r"(?:\[[^\]\n]{0,99}\])?(?: was not found in the (?:package registry|provided package)|$)",
    re.MULTILINE,
)


def no_version(wanted: str, source: str, installed: Sequence[str]) -> Missing:
    """No version on this worker is in range."""
    has = ", ".join(installed) or "none"
    return Missing(
        what=f"Python {wanted}",
        why=f"`{source}` asks for Python {wanted}; this worker has {has}.",
        next_step="Install that version on the worker, or name a container image that has it in "
        "`.github/honk.yml`.",
        lines=(_IMAGE,),
    )


def unreadable(path: str, why: str) -> Missing:
    """A manifest that cannot be parsed."""
    return Missing(
        what=path,
        why=f"`{path}` cannot be parsed: {why}.",
        next_step="Fix the file on the base branch, or name the commands in `.github/honk.yml`.",
        lines=('setup: ["python3 -m venv .venv", ".venv/bin/pip install -e ."]',),
    )


def from_conda(project: PythonProject) -> Missing:
    """Packages that only conda has are not installed: it downloads from other hosts."""
    names = ", ".join(project.conda[:_SHOWN])
    more = len(project.conda) - _SHOWN
    return Missing(
        what="conda packages",
        why=f"environment.yml wants {names}{f' and {more} more' if more > 0 else ''} from conda, "
        "which setup does not use; packages for pip are installed.",
        next_step="If the tests need them, name those that pip has in `.github/honk.yml`.",
        lines=(
            'setup: ["uv venv --seed .venv", "uv pip install pytest PACKAGE"]',
            "network: {allow: [python]}",
        ),
    )


def missing_in(project: PythonProject, output: str) -> Iterator[Missing]:
    """What is missing according to the output of a failed command, the most specific first."""
    for pattern, (what, packages) in _PROGRAMS.items():
        if re.search(pattern, output):
            yield _system(what, f"Debian: `{packages}`")
    for header in _HEADER.findall(output):
        yield _system(f"the C header `{header}`", "find its package with `apt-file`")
    for name in _ABSENT.findall(output):
        yield _no_package(name)
    if re.search(r"(?i)git\+(?:https?|ssh)://|Git operation failed|git clone|git fetch", output):
        yield git_dependency("python", output)


def no_module(module: str) -> Missing:
    """An import that neither a manifest nor the shipped map explains."""
    return Missing(
        what=f"the Python module `{module}`",
        why=f"The tests import `{module}`, and no manifest of the repository names a package "
        "that has it.",
        next_step="Add the package to the project's test dependencies, or install it in "
        "`.github/honk.yml`.",
        lines=(
            'setup: ["python3 -m venv .venv", ".venv/bin/pip install -e . PACKAGE"]',
            "network: {allow: [python]}",
        ),
    )


def other_python(installed: Sequence[str]) -> Missing:
    """A package refuses every Python of this worker."""
    return Missing(
        what="another version of Python",
        why=f"A package does not support the Python on this worker ({', '.join(installed)}).",
        next_step="Install another version on the worker, or name a container image that has it "
        "in `.github/honk.yml`.",
        lines=(_IMAGE,),
    )


def unknown(line: str, exit_code: int, *, collecting: bool) -> Missing:
    """No rule knows the error."""
    what = "The tests could not be collected" if collecting else "A setup command failed"
    return Missing(
        what="a working setup",
        why=f"{what}: `{line[:200]}` exited with {exit_code}.",
        next_step="Name the commands that work in `.github/honk.yml`.",
        lines=(
            'setup: ["python3 -m venv .venv", ".venv/bin/pip install -e .[test]"]',
            "network: {allow: [python]}",
            'verify: ["pytest -q"]',
        ),
    )


def _system(what: str, where: str) -> Missing:
    return Missing(
        what=what,
        why=f"A package is built from source, and that needs {what}.",
        next_step=f"Install it on the worker ({where}), or name a container image that has it in "
        "`.github/honk.yml`.",
        lines=(_IMAGE,),
    )


def _no_package(name: str) -> Missing:
    return Missing(
        what=f"the package `{name}`",
        why=f"The registry has no package `{name}`: it was removed, is private, or is misspelled.",
        next_step="Correct or remove it in the manifest. If it is on a private registry, the "
        "operator can configure that for pip on the worker.",
        lines=("network: {allow: [python, REGISTRY-HOST]}",),
    )
