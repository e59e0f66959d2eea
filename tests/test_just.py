"""`./just` on machines that are not like this one: stand-in Pythons in a PATH of their own, in a copy of the checkout's root."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ("sh", "cat", "cksum", "dirname", "mkdir", "rm", "sleep", "chmod", "env")

# answers as `python3` and as the `.venv/bin/python` that it makes; every call that costs something is written down
PYTHON = """#!/bin/sh
case "$*" in
*"sys.version_info"*) exit {fits} ;;
*"import venv"*) exit {has_venv} ;;
--version) echo "Python 3.12.1" ;;
"-m venv"*) echo venv >>"$CALLS"; mkdir -p "$3/bin" "$3/lib/python3.12/site-packages"
    cat "$0" >"$3/bin/python"; chmod +x "$3/bin/python"
    printf '#!/bin/sh\\necho "recipe $*"\\n' >"$3/bin/just"; chmod +x "$3/bin/just" ;;
"-m arbiter"*) echo "recipe $*" ;;
"-m pip"*) echo pip >>"$CALLS"; [ ! -f "$BROKEN" ] ;;
esac
"""


class Machine:
    """A folder with `./just` and the locks, and a PATH with nothing but the shell's tools and the given Python."""

    def __init__(self, folder: Path, *, fits: bool = True, has_venv: bool = True) -> None:
        self.root = folder / "checkout"
        self.path = folder / "bin"
        self.calls_file = folder / "calls"
        self.broken = folder / "broken"
        self.path.mkdir()
        shutil.copytree(ROOT / "requirements", self.root / "requirements")
        shutil.copy(ROOT / "just", self.root / "just")
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found is not None
            (self.path / tool).symlink_to(found)
        python = self.path / "python3"
        python.write_text(PYTHON.format(fits=int(not fits), has_venv=int(not has_venv)))
        python.chmod(0o755)

    @property
    def environ(self) -> dict[str, str]:
        return {"PATH": str(self.path), "CALLS": str(self.calls_file), "BROKEN": str(self.broken)}

    def just(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.root / "just", *arguments], env=self.environ, capture_output=True, text=True, timeout=60, check=False)

    @property
    def calls(self) -> list[str]:
        return self.calls_file.read_text().split() if self.calls_file.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_first_start_makes_the_environment_and_the_second_costs_nothing(machine: Machine) -> None:
    first = machine.just("run", "--grpc-port", "0")
    assert first.returncode == 0, first.stderr
    assert first.stdout.endswith("run --grpc-port 0\n")
    assert machine.calls == ["venv", "pip"]
    second = machine.just("run")
    assert (second.returncode, second.stderr) == (0, "")
    assert machine.calls == ["venv", "pip"]


def test_tests_add_to_what_a_run_installed(machine: Machine) -> None:
    machine.just("run")
    assert machine.just("test").returncode == 0
    assert machine.calls == ["venv", "pip", "pip"]
    assert machine.just("run").returncode == 0
    assert machine.calls == ["venv", "pip", "pip"]


def test_another_lock_makes_the_environment_anew(machine: Machine) -> None:
    machine.just("run")
    with (machine.root / "requirements" / "run.txt").open("a") as file:
        file.write("# changed\n")
    machine.just("run")
    assert machine.calls == ["venv", "pip"] * 2


def test_a_set_up_that_broke_off_heals_itself(machine: Machine) -> None:
    machine.broken.touch()
    failed = machine.just("run")
    assert failed.returncode == 2
    assert "installing failed" in failed.stderr
    assert not (machine.root / ".venv.lock").exists()
    machine.broken.unlink()
    assert machine.just("run").returncode == 0
    assert machine.calls == ["venv", "pip"] * 2


def test_a_lock_whose_owner_died_is_taken_over(machine: Machine) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    (machine.root / ".venv.lock").mkdir()
    (machine.root / ".venv.lock" / "pid").write_text(f"{gone.pid}\n")
    assert machine.just("run").returncode == 0
    assert machine.calls == ["venv", "pip"]


def test_two_starts_at_once_set_up_once(machine: Machine) -> None:
    command = [str(machine.root / "just"), "run"]
    both = [subprocess.Popen(command, env=machine.environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in range(2)]
    for each in both:
        out, _ = each.communicate(timeout=60)
        assert (each.returncode, out[:6]) == (0, b"recipe")
    assert machine.calls == ["venv", "pip"]


def test_no_fitting_python_is_one_line_and_status_2(tmp_path: Path) -> None:
    refused = Machine(tmp_path, fits=False).just("run")
    assert refused.returncode == 2
    assert refused.stderr.splitlines() == ["just: no Python from 3.11 to 3.13 was found; install one of them and run this again"]


def test_a_python_without_venv_is_one_line_and_status_2(tmp_path: Path) -> None:
    refused = Machine(tmp_path, has_venv=False).just("run")
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    assert "venv" in refused.stderr
    assert "python3-venv" in refused.stderr


def test_the_locks_name_every_package_with_hashes_and_no_place_of_the_machine_that_made_them() -> None:
    for name in ("run.txt", "dev.txt"):
        text = (ROOT / "requirements" / name).read_text()
        assert "--hash=sha256:" in text
        assert "://" not in text
        assert not any(line.startswith(("-i", "--index", "--find-links", "--extra-index")) for line in text.splitlines())
    assert os.access(ROOT / "just", os.X_OK)
