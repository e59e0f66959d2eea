"""What is logged: a crash tells its traceback, but nothing of what local variables held."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CRASH = """
import structlog
from arbiter.start import configure_logging

configure_logging("INFO")

def crash(credential):
    raise RuntimeError("it broke")

try:
    crash("hush-" * 3)
except RuntimeError as error:
    structlog.get_logger().error("child crashed", exc_info=error)
"""


def test_a_crash_shows_where_it_happened_and_no_secret() -> None:
    command = [sys.executable, "-c", CRASH]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=True)
    assert "RuntimeError: it broke" in done.stderr
    assert "in crash" in done.stderr
    assert "hush-hush" not in done.stderr
