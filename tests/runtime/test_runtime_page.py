"""docs/runtime.md: each rule names a test that is collected; its example is the one that runs."""

import ast
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from arbiter.runtime.testing import run_seeded

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "runtime.md").read_text("utf-8")
RULES = [row for row in PAGE.partition("## Every rule and its test")[2].splitlines() if row.startswith("| ")][1:]


HERE = Path(__file__).parent


def names_in(path: Path) -> set[str]:
    """What pytest finds in a file: its functions that are named so."""
    found = ast.parse(path.read_text("utf-8")).body
    return {each.name for each in found if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name.startswith("test")}


def test_every_rule_of_the_page_names_a_test_that_is_collected(request):
    tests = {name for path in HERE.glob("test_*.py") for name in names_in(path)}
    assert len(RULES) > 80
    for rule in RULES:
        what, then, test = (cell.strip() for cell in rule.strip("|").split("|"))
        assert what
        assert then
        assert test.strip("`") in tests, rule
    options = request.config.option
    if options.keyword or options.markexpr or any("::" in each for each in options.file_or_dir):
        return  # only some were asked for
    collected = {item.path: set() for item in request.session.items if item.path.parent == HERE}
    for item in request.session.items:
        if item.path in collected:
            collected[item.path].add(item.originalname)
    for path, names in collected.items():
        assert names_in(path) <= names, path.name


def test_no_rule_stands_on_the_page_twice():
    whats = [rule.split("|")[1] for rule in RULES]
    assert sorted(whats) == sorted(set(whats))


@pytest.fixture
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("counter_example", ROOT / "examples" / "counter.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("seed", range(10))
def test_the_counter_example_says_what_it_counted_across_a_crash(example, capsys, seed):
    run_seeded(seed, example.main)
    assert capsys.readouterr().out.splitlines() == [
        "counted 5",
        "asked too early: counter stopped before it answered; whether the request took effect is unknown",
        "counted 10",
        "root/counter: running, 6 handled, 1 restarts ValueError: cannot add -1",
        "root/reporter: running, 2 handled, 0 restarts",
    ]


def test_the_example_on_the_page_is_the_one_that_runs():
    source = (ROOT / "examples" / "counter.py").read_text("utf-8")
    (shown,) = (block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "class Counter" in block)
    for line in shown.splitlines():
        code = line.partition("#")[0].strip()
        assert code in source or code == "...", line
