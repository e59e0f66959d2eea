"""Commands that wait for a code of the authenticator: the user's next message is taken for it, once, for a minute.

Kept in memory alone: after a restart the command is typed again. Another command, or a button, takes the place of what waits.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import NamedTuple

from arbiter.bot.commands.base import Call
from arbiter.bot.views import Answer
from arbiter.domain.totp import is_code
from arbiter.rpc.client_errors import ArbiterClientError, NotPermittedError
from arbiter.runtime import Environment

WAIT_SECONDS = 60.0
MOST_WAITING = 1_000
WANTED = "This needs a code of your authenticator app: send me the six digits within a minute. I delete your message then."
WRONG = "This code is wrong or was used already. Send me the next one within a minute."

Run = Callable[[Call], Awaitable[Answer]]


class Waiting(NamedTuple):
    """A command, or a button's action, and who gave it."""

    name: str
    run: Run
    call: Call


class Codes:
    """Who is asked for a code, and for what."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._waiting: dict[int, tuple[float, Waiting]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def asked(self, error: ArbiterClientError, waiting: Waiting) -> str | None:
        """What to say where a command was refused for its code, which is waited for from now on; None where it was not."""
        text = {"TOTP_NEEDED": WANTED, "TOTP_WRONG": WRONG}.get(error.reason) if isinstance(error, NotPermittedError) else None
        if text is not None:
            self.forget(waiting.call.user)
            if len(self._waiting) >= MOST_WAITING:
                self._waiting.pop(next(iter(self._waiting)))
            self._waiting[waiting.call.user] = self._environment.monotonic() + WAIT_SECONDS, waiting
        return text

    def forget(self, user: int) -> None:
        """Whatever comes next is no code."""
        self._waiting.pop(user, None)

    def take(self, user: int, text: str, age_ms: int) -> Waiting | None:
        """What this text is the code for, to be done with it; None where it is none, or nothing waits.

        The call stays as late among the user's as it was given: a stop that came meanwhile still overtakes it.
        """
        until, waiting = self._waiting.get(user, (0.0, None))
        if waiting is None or not is_code(text):
            return None
        self.forget(user)
        if self._environment.monotonic() >= until:
            return None
        return waiting._replace(call=replace(waiting.call, code=text, age_ms=age_ms))
