"""What all tests share: tracebacks are logged plainly, as the program does.

structlog's own choice draws every frame with its local variables. That takes longer than a request may, so a program in a test
whose actor crashed would be late: its answers too, and it would begin nothing new.
"""

import sys

import pytest
import structlog

RECURSION_LIMIT = sys.getrecursionlimit()


@pytest.fixture(scope="session", autouse=True)
def _plain_tracebacks() -> None:
    *before, _ = structlog.get_config()["processors"]
    structlog.configure([*before, structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)])


@pytest.fixture(scope="session", autouse=True)
def _recursion_limit_of_the_program() -> None:
    """As it was before test files were read: a library that some of them import (py_ecc, for eth_account) raises it to 100,000,
    and then JSON that is nested without end overflows the stack of C instead of being a RecursionError."""
    sys.setrecursionlimit(RECURSION_LIMIT)
