"""Every reason code that a client can get is in the documentation, and the documentation names none that there is not."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from arbiter import errors
from arbiter.rpc import status

ROOT = Path(__file__).resolve().parents[2]
PLACES = {"own_status": 2, "RefusedByRisk": 0, "Refused": 0}
"""Which argument of a call is a reason."""
NOT_FOR_CLIENTS = ("sandbox", "bot", "v1", "store")


def sources() -> Iterator[ast.Module]:
    for path in sorted((ROOT / "arbiter").rglob("*.py")):
        if path.relative_to(ROOT / "arbiter").parts[0] not in NOT_FOR_CLIENTS:
            yield ast.parse(path.read_text())


def constants() -> dict[str, set[str]]:
    """The texts of each constant of a module, by name, whatever the module."""
    found: dict[str, set[str]] = {}
    for tree in sources():
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        found.setdefault(target.id, set()).add(node.value.value)
    return found


def reason_arguments(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        place = PLACES.get(name)
        if place is not None and len(node.args) > place:
            yield node.args[place]
        if name == "NotAllowed":
            yield from (each.value for each in node.keywords if each.arg == "reason")


def in_code() -> set[str]:
    known, found = constants(), set[str]()
    for tree in sources():
        for argument in reason_arguments(tree):
            for node in ast.walk(argument):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.add(node.value)
                elif isinstance(node, ast.Name | ast.Attribute):
                    found |= known.get(node.id if isinstance(node, ast.Name) else node.attr, set())
    found = {each for each in found if re.fullmatch(r"[A-Z][A-Z0-9_]+", each)}
    return found | {kind.reason for kind in status._CODES if kind is not errors.RefusedByRisk}  # whose reason is its code


def in_documentation() -> list[str]:
    section = (ROOT / "docs" / "grpc.md").read_text().partition("### Reasons")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return [reason for row in rows for reason in re.findall(r"`([A-Z0-9_]+)`", row)]


def test_every_reason_code_is_documented_once_and_no_other():
    documented = in_documentation()
    missing, unknown = in_code() - set(documented), set(documented) - in_code()
    assert (missing, unknown) == (set(), set()), "docs/grpc.md, section Reasons: add a row for what is missing, take out what is unknown"
    assert len(documented) == len(set(documented))


@pytest.mark.parametrize(
    "reason", ["NOT_FOUND", "POSITION_TOO_LARGE", "TRADING_HALTED_FOR_ALL", "TOTP_NEEDED", "SLOW_READER", "BAD_HEADERS", "MESSAGE_TOO_LONG"]
)
def test_reasons_are_found_wherever_they_stand(reason):
    assert reason in in_code()


def test_what_is_not_meant_for_clients_has_no_status():
    assert {errors.ArbiterError, errors.ConfigError}.isdisjoint(status._CODES)
