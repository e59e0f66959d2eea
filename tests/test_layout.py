"""The shape of the repository: what stands at the top, that every module says what it is, that no file names a build machine."""

import ast
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOP_FILES = ("LICENSE", "just", "justfile", "pyproject.toml", ".gitignore")
TOP_FOLDERS = ("arbiter", "tests", "proto/arbiter/v1", "examples", "requirements")
LAYERS = ("actors", "domain", "rpc", "runtime", "sandbox", "store", "v1", "venues")
TOP_MODULES = ("__init__", "__main__", "app", "cli", "config", "errors")

# places that a text may well name although a clone of this repository happens to lie there
COMMON = frozenset(map(Path, ("/", "/home", "/mnt", "/opt", "/srv", "/tmp", "/usr", "/usr/src", "/var", "/var/tmp", "/Users")))

MODULES = sorted((ROOT / "arbiter").rglob("*.py"))


def machine_paths(text: str, places: list[Path]) -> list[str]:
    """The lines of a text that name one of these absolute places, or something in it."""
    patterns = [re.compile(rf"(?<![\w./~-]){re.escape(str(place))}(?![\w-])") for place in places if place not in COMMON]
    return [line for line in text.splitlines() if any(pattern.search(line) for pattern in patterns)]


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git work tree, so nothing says which files are tracked")
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def _is_generated(path: Path) -> bool:
    return path.parent.name == "v1" and path.name != "__init__.py"


def test_the_top_level_is_the_one_that_the_recipes_and_the_design_name() -> None:
    assert [name for name in TOP_FILES if not (ROOT / name).is_file()] == []
    assert [name for name in TOP_FOLDERS if not (ROOT / name).is_dir()] == []
    assert [name for name in TOP_MODULES if not (ROOT / "arbiter" / f"{name}.py").is_file()] == []


def test_every_layer_is_a_package_and_every_folder_of_code_has_an_init() -> None:
    assert [name for name in LAYERS if not (ROOT / "arbiter" / name / "__init__.py").is_file()] == []
    assert sorted({path.parent for path in MODULES if not (path.parent / "__init__.py").is_file()}) == []


def test_every_module_says_what_lives_there() -> None:
    silent = [
        path for path in MODULES if not _is_generated(path) and not (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").strip()
    ]
    assert [str(path.relative_to(ROOT)) for path in silent] == []


def test_tests_are_no_package_and_each_file_has_its_own_name() -> None:
    files = [path.name for path in (ROOT / "tests").rglob("*.py")]
    assert "__init__.py" not in files
    assert [name for name, times in Counter(files).items() if times > 1 and name != "conftest.py"] == []


def test_no_tracked_file_names_a_path_of_this_machine() -> None:
    places = sorted({ROOT, ROOT.parent, Path.home()})
    found = []
    for path in _tracked():
        if not path.is_file():
            continue  # removed in the work tree, not yet in the index
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {line.strip()[:120]}" for line in machine_paths(text, places)]
    assert not found, "\n".join(found)


def test_the_search_for_machine_paths_sees_one_and_leaves_lookalikes_alone() -> None:
    here = [Path("/place/of/builds"), Path("/tmp")]
    assert machine_paths("a\nhome = '/place/of/builds/main'\nb", here) == ["home = '/place/of/builds/main'"]
    assert machine_paths("cd /place/of/builds", here) == ["cd /place/of/builds"]
    assert machine_paths("/place/of/buildsite, x/place/of/builds, /tmp/scratch", here) == []
