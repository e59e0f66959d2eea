"""The import rule: imports point down only. Each module's text is parsed, nothing is imported, so lazy imports count too."""

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
ANY = ("*",)
EVERYTHING_BUT_COMMANDS = (
    *("arbiter.domain", "arbiter.runtime", "arbiter.actors", "arbiter.venues", "arbiter.store", "arbiter.rpc"),
    *(
        "arbiter.bot",
        "arbiter.web",
        "arbiter.sandbox",
        "arbiter.frames",
        "arbiter.config",
        "arbiter.data_folder",
        "arbiter.secret_box",
        "arbiter.__version__",
    ),
)


class Rule(NamedTuple):
    """What the modules under a name may import beside the standard library and `arbiter.errors`; `x*` is any name that starts so."""

    ours: tuple[str, ...]
    foreign: tuple[str, ...] = ANY


# the longest name that a module's own name starts with decides
RULES = {
    "arbiter.errors": Rule((), ()),
    "arbiter.domain": Rule(("arbiter.domain",), ("msgspec",)),
    "arbiter.runtime": Rule(("arbiter.runtime",), ("trio", "msgspec", "structlog")),
    "arbiter.actors": Rule(
        ("arbiter.actors", "arbiter.runtime", "arbiter.domain", "arbiter.venues.base", "arbiter.store.base"),
        ("trio", "msgspec", "structlog"),
    ),
    "arbiter.venues": Rule(("arbiter.venues", "arbiter.domain")),
    "arbiter.store": Rule(("arbiter.store", "arbiter.domain")),
    "arbiter.sandbox": Rule(("arbiter.sandbox", "arbiter.domain")),
    "arbiter.sandbox.convert": Rule(("arbiter.sandbox", "arbiter.domain", "arbiter.frames.lines", "arbiter.frames.file")),
    "arbiter.frames": Rule(
        ("arbiter.frames", "arbiter.domain", "arbiter.venues.base"), ("trio", "msgspec", "h11", "websockets", "backports")
    ),
    "arbiter.rpc": Rule(("arbiter.rpc", "arbiter.v1", "arbiter.actors", "arbiter.runtime", "arbiter.domain")),
    "arbiter.v1": Rule(("arbiter.v1",), ("google", "purerpc")),
    "arbiter.bot": Rule(("arbiter.bot", "arbiter.rpc.client*", "arbiter.runtime", "arbiter.domain")),
    "arbiter.web": Rule(("arbiter.web", "arbiter.actors", "arbiter.runtime", "arbiter.domain")),
    "arbiter": Rule((), ()),
    "arbiter.config": Rule((), ("msgspec",)),
    "arbiter.data_folder": Rule((), ()),
    "arbiter.secret_box": Rule((), ("cryptography",)),
    "arbiter.feeds_shown": Rule(("arbiter.rpc.client*",)),
    "arbiter.watch": Rule(("arbiter.feeds_shown", "arbiter.rpc.client*", "arbiter.domain")),
    "arbiter.top": Rule(("arbiter.feeds_shown", "arbiter.rpc.client*")),
    "arbiter.app": Rule(EVERYTHING_BUT_COMMANDS),
    "arbiter.certs": Rule((), ("cryptography",)),
    "arbiter.reach": Rule(("arbiter.rpc.client*", "arbiter.config", "arbiter.data_folder")),
    "arbiter.start": Rule(
        ("arbiter.app", "arbiter.greeting", "arbiter.instance", "arbiter.reach", "arbiter.simulated", *EVERYTHING_BUT_COMMANDS)
    ),
    "arbiter.instance": Rule(("arbiter.actors", "arbiter.data_folder", "arbiter.domain", "arbiter.rpc", "arbiter.runtime")),
    "arbiter.following": Rule(("arbiter.actors.market_feed", "arbiter.config", "arbiter.domain", "arbiter.venues"), ()),
    "arbiter.simulated": Rule((*EVERYTHING_BUT_COMMANDS, "arbiter.following", "arbiter.played")),
    "arbiter.played": Rule(EVERYTHING_BUT_COMMANDS),
    "arbiter.recorder": Rule(("arbiter.simulated", *EVERYTHING_BUT_COMMANDS)),
    "arbiter.replayer": Rule(("arbiter.simulated", "arbiter.played", *EVERYTHING_BUT_COMMANDS)),
    "arbiter.greeting": Rule(("arbiter.config", "arbiter.data_folder", "arbiter.__version__"), ()),
    "arbiter.cli": Rule(
        (
            *(
                "arbiter.app",
                "arbiter.certs",
                "arbiter.reach",
                "arbiter.recorder",
                "arbiter.replayer",
                "arbiter.start",
                "arbiter.watch",
                "arbiter.top",
                "arbiter.config",
                "arbiter.data_folder",
            ),
            *("arbiter.rpc.client*", "arbiter.domain", "arbiter.runtime", "arbiter.sandbox.convert", "arbiter.__version__"),
        )
    ),
    "arbiter.__main__": Rule(("arbiter.cli",), ()),
}

# foreign packages that only these modules may touch; nobody at all where there are none
EDGES = {
    "asyncio": (),
    "purerpc": ("arbiter.rpc", "arbiter.v1"),
    "apsw": ("arbiter.store.sqlite",),
    "telegram": ("arbiter.bot",),
    # it raises the recursion limit, and then nested JSON from anybody ends the process
    "eth_account": (),
    "py_ecc": (),
}

# what makes a function depend on more than its arguments
IMPURE = frozenset(
    {
        *("time", "contextvars", "logging", "secrets", "uuid", "os", "io", "sys", "pathlib", "glob", "tempfile", "shutil", "sqlite3"),
        *("socket", "ssl", "select", "selectors", "urllib", "http", "signal", "subprocess", "threading", "multiprocessing"),
        *("concurrent", "queue", "sched", "asyncio"),
    }
)
CLOCKS = frozenset({"now", "utcnow", "today"})


class Import(NamedTuple):
    """`target` is the full dotted name of what is imported, down to the name taken out of a module."""

    target: str
    line: int


def matches(name: str, pattern: str) -> bool:
    if pattern.endswith("*"):
        return name.startswith(pattern[:-1])
    return name == pattern or name.startswith(pattern + ".")


def imports_of(module: str, text: str, *, is_package: bool = False) -> Iterator[Import]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".")[: None if is_package and node.level == 1 else is_package - node.level]
                base = ".".join([*above, base] if base else above)
            yield from (Import(f"{base}.{alias.name}", node.lineno) for alias in node.names)


def rule_for(module: str) -> Rule | None:
    names = [name for name in RULES if name == module or (name != "arbiter" and matches(module, name))]
    return RULES[max(names, key=len)] if names else None


def problems(module: str, text: str, *, is_package: bool = False) -> list[str]:
    """What this module's text does against the rule, as lines that a reader can act on."""
    rule = rule_for(module)
    if rule is None:
        return [f"{module} belongs to no layer: add it to RULES in this test"]
    found = []
    for target, line in imports_of(module, text, is_package=is_package):
        top = target.split(".")[0]
        edge = EDGES.get(top)
        if edge is not None and not any(matches(module, each) for each in edge):
            found.append(f"{module}:{line} imports {target}: only {', '.join(edge) or 'nobody'} may import {top}")
        elif top == "arbiter":
            if not matches(target, "arbiter.errors") and not any(matches(target, each) for each in rule.ours):
                found.append(f"{module}:{line} imports {target}, which is not below it")
        elif top not in sys.stdlib_module_names and rule.foreign != ANY and top not in rule.foreign:
            found.append(f"{module}:{line} imports {target}, a package that its layer does without")
        elif matches(module, "arbiter.domain") and (top in IMPURE or target in ("random", "random.random")):
            found.append(f"{module}:{line} imports {target}: the domain has no clock, no I/O and no global randomness")
    return found + list(_hidden(module, text))


def _hidden(module: str, text: str) -> Iterator[str]:
    """Ways round the rule: imports by name, and clocks reached through a type."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id if isinstance(node.func, ast.Name) else ""
        if name in ("import_module", "__import__"):
            yield f"{module}:{node.lineno} imports by name, which no rule can see"
        if name in CLOCKS and isinstance(node.func, ast.Attribute) and matches(module, "arbiter.domain"):
            yield f"{module}:{node.lineno} calls {name}(): the domain has no clock"


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """One way round in a circle, or nothing."""
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        done.add(name)
        for each in sorted(graph.get(name, ())):
            if circle := walk(each, [*path, name]):
                return circle
        return []

    return next((circle for name in sorted(graph) if (circle := walk(name, []))), [])


def graph_of(texts: dict[str, str], names: Iterable[str]) -> dict[str, set[str]]:
    """Who imports whom among these modules."""
    known = set(names)
    return {
        name: {other for target, _ in imports_of(name, texts[name]) for other in known if other != name and matches(target, other)}
        for name in known
    }


class Source(NamedTuple):
    text: str
    is_package: bool


def _sources() -> dict[str, Source]:
    found = {}
    for path in sorted((ROOT / "arbiter").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        found[".".join(parts[:-1] if is_package else parts)] = Source(path.read_text(encoding="utf-8"), is_package)
    return found


SOURCES = _sources()


def test_the_walk_sees_every_layer() -> None:
    assert len(SOURCES) > 60
    for layer in ("domain", "runtime", "actors", "venues", "store", "rpc", "sandbox", "v1"):
        assert any(matches(name, f"arbiter.{layer}") for name in SOURCES), layer


def test_imports_point_down_only() -> None:
    found = [line for name, source in SOURCES.items() for line in problems(name, source.text, is_package=source.is_package)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("layer", ["domain", "runtime", "actors", "venues", "store"])
def test_no_module_of_a_layer_imports_one_that_imports_it(layer: str) -> None:
    names = [name for name, source in SOURCES.items() if matches(name, f"arbiter.{layer}") and not source.is_package]
    circle = cycle(graph_of({name: SOURCES[name].text for name in names}, names))
    assert not circle, " -> ".join(circle)


@pytest.mark.parametrize(
    ("module", "text", "complaint"),
    [
        ("arbiter.domain.fees", "import trio", "does without"),
        ("arbiter.domain.fees", "import structlog", "does without"),
        ("arbiter.domain.fees", "import time", "no clock"),
        ("arbiter.domain.fees", "import random", "no global randomness"),
        ("arbiter.domain.fees", "from random import random", "no global randomness"),
        ("arbiter.domain.fees", "from datetime import datetime\nSTART = datetime.now()", "calls now()"),
        ("arbiter.domain.fees", "from arbiter.store.base import Store", "not below"),
        ("arbiter.domain.fees", "def late():\n    from arbiter.actors import journal", "not below"),
        ("arbiter.domain.fees", "from ..actors import journal", "arbiter.actors.journal, which is not below"),
        ("arbiter.domain.fees", "import arbiter", "not below"),
        ("arbiter.runtime.ref", "from arbiter.domain.money import Micros", "not below"),
        ("arbiter.runtime.ref", "import anyio", "does without"),
        ("arbiter.actors.journal", "from arbiter.store.sqlite import SqliteStore", "not below"),
        ("arbiter.actors.journal", "from arbiter.store import sqlite", "not below"),
        ("arbiter.actors.journal", "from arbiter.venues.kalshi import wire", "not below"),
        ("arbiter.actors.journal", "from arbiter.rpc.codec import order", "not below"),
        ("arbiter.venues.kalshi.wire", "from arbiter.runtime import Actor", "not below"),
        ("arbiter.venues.kalshi.wire", "from arbiter.sandbox.world import World", "not below"),
        ("arbiter.store.memory", "import apsw", "only arbiter.store.sqlite"),
        ("arbiter.store.memory", "from arbiter.actors.journal import Commit", "not below"),
        ("arbiter.sandbox.kalshi.wire", "from arbiter.venues.kalshi import wire", "not below"),
        ("arbiter.rpc.server", "from arbiter.sandbox.world import World", "not below"),
        ("arbiter.rpc.server", "from arbiter.app import build", "not below"),
        ("arbiter.rpc.server", "import asyncio", "nobody may import asyncio"),
        ("arbiter.rpc.server", "import telegram.ext", "only arbiter.bot"),
        ("arbiter.bot.bridge", "from arbiter.actors.journal import Commit", "not below"),
        ("arbiter.bot.bridge", "from arbiter.rpc.server import Server", "not below"),
        ("arbiter.bot.bridge", "import purerpc", "only arbiter.rpc, arbiter.v1"),
        ("arbiter.bot.bridge", "from arbiter.v1 import user_pb2", "not below"),
        ("arbiter.watch", "from arbiter.v1 import user_pb2", "not below"),
        ("arbiter.app", "from arbiter.v1 import user_pb2", "not below"),
        ("arbiter.app", "from arbiter.cli import main", "not below"),
        ("arbiter.cli", "from arbiter.sandbox.world import World", "not below"),
        ("arbiter.errors", "from arbiter.domain.money import Micros", "not below"),
        ("arbiter.watch", "import importlib\nimportlib.import_module('arbiter.sandbox')", "imports by name"),
        ("arbiter.novelty", "", "belongs to no layer"),
    ],
)
def test_a_module_that_breaks_the_rule_is_refused(module: str, text: str, complaint: str) -> None:
    found = problems(module, text)
    assert len(found) == 1
    assert complaint in found[0]


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (
            "arbiter.domain.fees",
            "import msgspec\nfrom random import Random\nfrom arbiter.domain import money\nfrom arbiter.errors import NotFound",
        ),
        ("arbiter.domain.fees", "from .money import Micros"),
        ("arbiter.actors.journal", "import trio\nfrom arbiter.venues import base\nfrom arbiter.store.base import Store"),
        (
            "arbiter.bot.bridge",
            "import telegram\nfrom arbiter.rpc.client_errors import ArbiterClientError\nfrom arbiter.rpc.client import ArbiterClient",
        ),
        ("arbiter.store.sqlite", "import apsw"),
        ("arbiter.start", "from arbiter.sandbox.world import World\nfrom arbiter.app import build"),
    ],
)
def test_a_module_that_keeps_the_rule_passes(module: str, text: str) -> None:
    assert problems(module, text) == []


def test_relative_imports_of_a_package_start_at_the_package() -> None:
    assert [each.target for each in imports_of("arbiter.domain", "from . import money", is_package=True)] == ["arbiter.domain.money"]
    assert [each.target for each in imports_of("arbiter.domain", "from .. import actors", is_package=True)] == ["arbiter.actors"]
    assert [each.target for each in imports_of("arbiter.domain.fees", "from . import money")] == ["arbiter.domain.money"]


def test_a_publisher_that_imports_its_consumer_is_found_through_others() -> None:
    texts = {
        "arbiter.actors.feed": "def late():\n    from arbiter.actors.desk import Submit",
        "arbiter.actors.scanner": "from arbiter.actors import feed",
        "arbiter.actors.desk": "import arbiter.actors.scanner",
    }
    assert set(cycle(graph_of(texts, texts))) == set(texts)
    texts["arbiter.actors.feed"] = "import trio"
    assert cycle(graph_of(texts, texts)) == []
