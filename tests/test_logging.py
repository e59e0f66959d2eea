"""What is logged: a crash tells its traceback, but nothing of what local variables held; each line tells what it was caused by."""

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

CAUSED = """
import structlog
from arbiter.runtime import caused_by
from arbiter.start import configure_logging

configure_logging("INFO")
log = structlog.get_logger()
log.info("before")
with caused_by("tg-17"):
    log.info("within")
    log.info("for another", correlation_id="tg-18")
"""


def written(program: str) -> str:
    """What a program writes on its standard error."""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=True)
    return done.stderr


def test_a_line_tells_what_it_was_caused_by_where_that_is_known() -> None:
    before, within, other = written(CAUSED).splitlines()
    assert "correlation_id" not in before
    assert within.endswith("correlation_id=tg-17")
    assert other.endswith("correlation_id=tg-18")


def test_a_crash_shows_where_it_happened_and_no_secret() -> None:
    text = written(CRASH)
    assert "RuntimeError: it broke" in text
    assert "in crash" in text
    assert "hush-hush" not in text
