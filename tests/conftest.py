"""What all tests share: tracebacks are logged plainly, as the program does.

structlog's own choice draws every frame with its local variables. That takes longer than a request may, so a program in a test
whose actor crashed would be late: its answers too, and it would begin nothing new.
"""

import pytest
import structlog


@pytest.fixture(scope="session", autouse=True)
def _plain_tracebacks() -> None:
    *before, _ = structlog.get_config()["processors"]
    structlog.configure([*before, structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)])
