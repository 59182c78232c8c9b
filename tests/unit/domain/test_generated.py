"""What tools leave behind, as patterns for a repository."""

from __future__ import annotations

from app.domain.generated import patterns
from app.ecosystems import ECOSYSTEMS


def test_names_that_mean_one_thing_count_everywhere() -> None:
    assert {"__pycache__/", "node_modules/", ".venv/", ".coverage"} <= set(patterns([]))
    assert not [each for each in patterns([]) if each.startswith("/")]


def test_common_folder_names_count_only_beside_a_manifest() -> None:
    found = patterns(["a b/Cargo.toml", "web/package.json", "src/x.csproj"])
    assert r"/a\ b/target/" in found
    assert {"/web/dist/", "/src/obj/"} <= set(found)
    assert "/target/" not in found


def test_what_the_repository_keeps_itself_is_committed() -> None:
    found = patterns(["package.json", "dist/index.js", "lib/node_modules/x.js", "a.o"])
    assert not {"/dist/", "node_modules/", "*.o"} & set(found)
    assert "/build/" in found


def test_every_common_word_has_its_manifests() -> None:
    generated = (each for ecosystem in ECOSYSTEMS for each in ecosystem.generated)
    assert all(each.manifests for each in generated if each.beside)
