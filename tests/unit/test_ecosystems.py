"""One declaration makes an ecosystem known everywhere: shown by adding one to a copy of the app."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from app.ecosystems import ECOSYSTEMS
from app.integrity.configuration import FORMATS
from app.integrity.mixed import SPLITTERS

APP = Path(__file__).parents[2] / "app"
DECLARATION = """
from app.ecosystems.ecosystem import Ecosystem, Generated

ECOSYSTEM = Ecosystem(
    name="brook",
    manifests=("brook.toml",),
    lock_files={"brook.lock": ("brook.toml",)},
    generated=(Generated(beside=("brooks/",), manifests=("brook.toml",)),),
    dependency_files=("brook.toml", "brook.lock"),
    fetch_commands={"brook": ("fetch",)},
    environment={"BROOK_HOME": "@/brook"},
    test_paths={"brk": r"_test\\.brk$"},
    runners=frozenset({"brook"}),
    config_formats={r"brook\\.toml": "toml"},
    verifiers=("brook:Brook",),
)
"""
VERIFIER = """
from dataclasses import dataclass
from typing import ClassVar
from app.domain.file_tree import folders_with
from app.verify.verifiers.command import AnyCommand

@dataclass(frozen=True)
class Brook(AnyCommand):
    line: str = "brook test"
    folder: str = ""
    name: ClassVar[str] = "brook"

    @classmethod
    def detect(cls, tree):
        return [cls(folder=folder) for folder in folders_with(tree, "brook.toml")]
"""
USE = """
from pathlib import Path
from app.domain.generated import patterns
from app.domain.setup import dependency_files, only_installs
from app.integrity import configuration, paths, scope
from app.verify import affected
from app.verify.verifier import DirectoryTree
from app.verify.verifiers import choose

assert "/brooks/" in patterns(["brook.toml"])
assert dependency_files({"brook.lock": "b"}, []) and only_installs(["brook fetch"], [])
assert paths.is_test("a_test.brk") and paths.is_shim("bin/brook")
assert configuration._reader("brook.toml") is configuration.FORMATS["toml"]
assert scope._MANIFESTS["brook.lock"] == ("brook.toml",) and "brook.toml" in affected.MANIFESTS
root = Path("work")
root.mkdir()
(root / "brook.toml").touch()
print(*(verifier.line for verifier in choose(None, DirectoryTree(root)).verifiers))
"""


def test_an_ecosystem_is_one_declaration_and_one_verifier(tmp_path: Path) -> None:
    leave = shutil.ignore_patterns("playground", "__pycache__")
    shutil.copytree(APP, tmp_path / "app", ignore=leave)
    (tmp_path / "app/ecosystems/brook.py").write_text(DECLARATION)
    (tmp_path / "app/verify/verifiers/brook.py").write_text(VERIFIER)
    (tmp_path / "use.py").write_text(USE)
    done = subprocess.run(
        [sys.executable, "use.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("brook test\n", 0), done.stderr


def test_declarations_name_what_exists() -> None:
    names = [each.name for each in ECOSYSTEMS]
    assert len(names) == len(set(names))
    formats = {of for each in ECOSYSTEMS for of in each.config_formats.values()}
    assert formats <= {*FORMATS, "toolchain"}
    splitters = {of for each in ECOSYSTEMS for of in each.mixed.values()}
    assert splitters == SPLITTERS.keys()
