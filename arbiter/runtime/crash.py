"""What is said of a crash: one line for a person, and a log that may fail without harm."""

from contextlib import suppress
from typing import Any

LONGEST = 300
"""Characters of a last error."""


def single(error: BaseException) -> BaseException:
    """The error within groups of one, as the nurseries make them on its way."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def one_line(error: BaseException) -> str:
    """The single error as one line that can be sent. Never raises, whatever the error's own text does."""
    error = single(error)
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 whatever it is, it is no reason for another crash
        text = "(it cannot say what it is)"
    return f"{type(error).__name__}: {text}".splitlines()[0][:LONGEST].encode("utf-8", "replace").decode()


def report(log: Any, event: str, **fields: object) -> None:
    """An error in the log. Where that cannot be written nobody is harmed: the tree's `last_error` still says what happened."""
    with suppress(Exception):
        log.error(event, **fields)
