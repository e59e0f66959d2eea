"""proto/generate.py as `./just proto` and `./just check` run it, on a copy of what it reads and writes."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAME = "arbiter/v1/admin.proto"


class Copy:
    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(ROOT / "proto", root / "proto", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "arbiter" / "v1", root / "arbiter" / "v1", ignore=shutil.ignore_patterns("__pycache__"))
        (root / "docs").mkdir()
        shutil.copy(ROOT / "docs" / "api.md", root / "docs" / "api.md")
        self.proto = root / "proto" / NAME

    def run(self, *arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, str(self.root / "proto" / "generate.py"), *arguments], capture_output=True, text=True, timeout=60, check=False
        )
        return done.returncode, done.stderr

    def edit(self, old: str, new: str) -> None:
        text = self.proto.read_text()
        assert old in text
        self.proto.write_text(text.replace(old, new))

    def contents(self) -> dict[str, bytes]:
        files = [path for path in self.root.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        return {str(path.relative_to(self.root)): path.read_bytes() for path in files}


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


def test_what_is_committed_is_what_the_protos_say(copy):
    assert copy.run("--check") == (0, "")


def test_an_addition_must_be_generated_and_is_then_kept(copy):
    copy.edit("message ListActorsRequest {}", "message ListActorsRequest { string below = 1; }")
    status, told = copy.run("--check")
    assert status == 1
    assert told == ("what is generated is not up to date (admin_pb2.py, admin_pb2.pyi, api.md, arbiter_v1.txtpb); run ./just proto\n")
    assert copy.run() == (0, "")
    assert copy.run("--check") == (0, "")
    assert b'name: "below"' in copy.contents()["proto/arbiter_v1.txtpb"]
    copy.edit("string below = 1;", "")  # from now on it is part of the API
    assert copy.run("--check")[0] == 1


def test_a_comment_must_be_generated_too(copy):
    copy.edit("// in start order", "// in order of start")
    assert copy.run("--check") == (1, "what is generated is not up to date (api.md); run ./just proto\n")


@pytest.mark.parametrize("arguments", [["--check"], []])
def test_a_break_is_refused_with_what_it_breaks_and_writes_nothing(copy, arguments):
    copy.edit("int32 restarts = 3", "int32 restarts = 30")
    before = copy.contents()
    status, told = copy.run(*arguments)
    assert status == 1
    assert told.splitlines() == [
        "the protos break clients that were built before:",
        "  field arbiter.v1.Actor.restarts (number 3) has number 30 now",
        "Leave what is there and add beside it; if no client can need it any more, run ./just proto --break-clients",
    ]
    assert copy.contents() == before


def test_a_break_that_is_meant_is_written_when_forced(copy):
    copy.edit("int32 restarts = 3", "int32 restarts = 30")
    assert copy.run("--break-clients") == (0, "")
    assert copy.run("--check") == (0, "")


def test_forcing_does_not_get_a_break_past_the_check(copy):
    copy.edit("int32 restarts = 3", "int32 restarts = 30")
    assert copy.run("--check", "--break-clients")[0] == 1


def test_a_stored_set_that_is_missing_or_damaged_fails_the_check(copy):
    stored = copy.root / "proto" / "arbiter_v1.txtpb"
    text = stored.read_text()
    stored.write_text("<<<<<<< ours\n" + text)
    status, told = copy.run("--check")
    assert status == 1
    assert told.startswith("arbiter_v1.txtpb cannot be read (not a descriptor set")
    stored.unlink()
    assert copy.run("--check") == (1, "what is generated is not up to date (arbiter_v1.txtpb); run ./just proto\n")


def test_a_module_that_nothing_generates_any_more_is_told(copy):
    (copy.root / "arbiter" / "v1" / "old_pb2.py").touch()
    assert copy.run("--check") == (1, "what is generated is not up to date (old_pb2.py); run ./just proto\n")
