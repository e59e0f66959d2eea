"""Another process of a bench: what it says and is told is JSON, one object a line."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any


class Process:
    """`python -m bench.MODULE`, ended with the stack: by the end of its input, or a signal."""

    def __init__(self, stack: ExitStack, module: str, *arguments: object) -> None:
        self._module = module
        command = [sys.executable, "-m", f"bench.{module}", *map(str, arguments)]
        self._process = stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        stack.callback(self.end)

    def end(self) -> None:
        """By the end of its input, or a signal."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.terminate()

    def stop(self) -> None:
        self._process.terminate()

    def heard(self) -> Any:
        """The next thing that it says."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"bench.{self._module} ended")
        return json.loads(line)

    def say(self, value: object) -> None:
        """Any one thing."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(value) + "\n")
        self._process.stdin.flush()

    def tell(self, **order: object) -> None:
        """An order, without waiting for what it says to that."""
        self.say(order)

    def ask(self, **order: object) -> Any:
        self.tell(**order)
        return self.heard()

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def resident_kib(self) -> float:
        """What of its memory is in RAM now."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1024
