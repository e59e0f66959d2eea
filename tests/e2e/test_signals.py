"""SIGINT and SIGTERM at every moment of a start: the real program, in the foreground and put into the background by a shell.

What a signal does before Python runs the program's first line is the system's affair, so each case waits for that line: for the
moment from which the kernel says that the program catches both signals.
"""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, Program

STATUS = Path("/proc/self/status")
BOTH = 1 << (signal.SIGINT - 1) | 1 << (signal.SIGTERM - 1)
MOMENTS = (0.0, 0.1, 0.3, 0.6, 1.0, 1.6)
"""Seconds after the first line. On a quiet machine the program serves after about one."""

pytestmark = pytest.mark.skipif(not STATUS.exists(), reason="this kernel does not tell which signals a process catches")


class Starting:
    """A command of `arbiter` on a data folder, begun and caught at its first line."""

    def __init__(self, folder: Path, *command: str, background: bool) -> None:
        whole = [sys.executable, "-m", "arbiter", *command, "--data", str(folder / "var")]
        if background:  # with SIGINT ignored, as shells do it; the shell's own status becomes the program's
            whole = ["sh", "-c", '"$@" & echo $!; wait $!', "sh", *whole]
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("ARBITER_", "GRPC_", "TELEGRAM_"))}
        environ |= {"PYTHONPATH": str(ROOT), "TELEGRAM_BOT_TOKEN": f"123456:{'a' * 35}"} if "bot" in command else {"PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(whole, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.pid = int(self.process.stdout.readline()) if background else self.process.pid
        deadline = time.monotonic() + 20
        while self._caught() & BOTH != BOTH:
            assert time.monotonic() < deadline, "it never caught the signals"

    def _caught(self) -> int:
        """The kernel's mask of the signals that the program has a handler for."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:"))

    def end(self, number: int, *, again: bool = False) -> tuple[int, str]:
        """Signal it, or `again` and again until it is gone; its status and what it wrote to standard error."""
        os.kill(self.pid, number)
        while again and self.process.poll() is None:
            time.sleep(0.01)
            self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=3)
        return self.process.returncode, errors

    def kill(self) -> None:
        if self.process.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
        self.process.communicate(timeout=15)


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Starting]]:
    """Begins commands on one data folder, one after the other; whatever still runs at the end is killed."""
    begun: list[Starting] = []

    def begin_one(*command: str, background: bool = False) -> Starting:
        begun.append(Starting(tmp_path, *command, background=background))
        return begun[-1]

    yield begin_one
    for each in begun:
        each.kill()


def run(begin: Callable[..., Starting], *, background: bool = False) -> Starting:
    return begin("run", "--grpc-port", "0", "--chat-port", "0", background=background)


SIGNALLED = """
import os, runpy, signal, sys
number, module, ignored, *sys.argv[1:] = sys.argv[1:]
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), int(number))
sys.meta_path.insert(0, Finder())
signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.default_int_handler)
runpy.run_module("arbiter", run_name="__main__")
"""
"""`arbiter` in a Python in which the import of a module signals it."""


@pytest.mark.parametrize("module", ["arbiter.cli", "click", "trio", "arbiter.start", "arbiter.sandbox.exchange"])
@pytest.mark.parametrize(("number", "ignored"), [(signal.SIGINT, ""), (signal.SIGINT, "ignored"), (signal.SIGTERM, "")])
def test_a_signal_during_any_import_of_a_start_ends_it_with_status_0(tmp_path: Path, module: str, number: int, ignored: str) -> None:
    command = [sys.executable, "-c", SIGNALLED, str(int(number)), module, ignored, "run", "--data", str(tmp_path / "var")]
    ended = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=20, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_any_moment_of_a_start_ends_it_with_status_0_and_leaves_nothing_behind(
    begin: Callable[..., Starting], start: Callable[..., Program], tmp_path: Path, number: int, background: bool
) -> None:
    for moment in MOMENTS:
        starting = run(begin, background=background)
        time.sleep(moment)
        status, errors = starting.end(number)
        assert status == 0, (moment, errors)
        assert not any(word in errors for word in ("warning", "error", "Traceback")), (moment, errors)
        assert not (tmp_path / "var" / "running.json").exists(), moment
    assert start().stop()[0] == 0  # on the same folder


def test_a_signal_does_not_wait_for_the_end_of_a_long_recording(begin: Callable[..., Starting], tmp_path: Path) -> None:
    endless = tmp_path / "endless.jsonl"
    os.mkfifo(endless)
    starting = begin("run", "--recording", str(endless))
    with endless.open("w"):  # which returns when the program has opened the other end
        assert starting.end(signal.SIGINT) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_impatient_second_signal_changes_nothing_of_the_end(begin: Callable[..., Starting], tmp_path: Path, number: int) -> None:
    starting = run(begin)
    assert starting.process.stdout is not None
    assert starting.process.stdout.readline().startswith("Arbiter ")
    status, errors = starting.end(number, again=True)
    assert (status, "Traceback" in errors) == (0, False)
    assert not (tmp_path / "var" / "running.json").exists()


@pytest.mark.parametrize("moment", [0.0, 0.6])
def test_the_separate_bot_ends_as_cleanly_while_it_starts(begin: Callable[..., Starting], tmp_path: Path, moment: float) -> None:
    credential = tmp_path / "credential"
    credential.write_text("c" * 43)
    bot = begin("bot", "--server", "127.0.0.1:1", "--telegram-api-url", "http://127.0.0.1:1", "--credential", str(credential))
    time.sleep(moment)
    status, errors = bot.end(signal.SIGINT)
    assert (status, "Traceback" in errors) == (0, False), errors


@pytest.mark.parametrize("command", ["watch", "top"])
def test_what_is_looked_at_in_a_terminal_is_left_with_ctrl_c_and_without_a_traceback(start: Callable[..., Program], command: str) -> None:
    program = start()
    terminal, its_end = pty.openpty()
    whole = [sys.executable, "-m", "arbiter", command, "--data", str(program.data)]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TERM": "xterm"}
    with subprocess.Popen(whole, env=environ, stdout=its_end, stderr=subprocess.PIPE, text=True) as looking:
        os.close(its_end)
        shown = b""
        while b"Arbiter at" not in shown:
            shown += os.read(terminal, 65_536)
        looking.send_signal(signal.SIGINT)
        _, errors = looking.communicate(timeout=10)
    os.close(terminal)
    assert (looking.returncode, "Traceback" in errors, len(errors) < 80) == (130, False, True), errors
