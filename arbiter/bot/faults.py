"""The bot's own errors, and exceptions as they may be logged: what and where, never with a token, a code or local variables."""

import traceback

from arbiter.rpc.client_errors import ArbiterClientError

SHORTEST_SECRET = 6


class NotLinked(ArbiterClientError):
    """No trading account is linked to this Telegram account."""

    def __init__(self) -> None:
        super().__init__("this Telegram account is not linked", "NOT_LINKED")


class NoAnswer(ArbiterClientError):
    """The core did not answer in time, and nothing can have come of it."""

    def __init__(self) -> None:
        super().__init__("the core did not answer in time", "NO_ANSWER")


def redacted(error: BaseException, *secrets: str) -> str:
    """What an error says, cut, without the secrets."""
    text = f"{type(error).__name__}: {error}"
    for secret in secrets:
        text = text.replace(secret, "***") if len(secret) >= SHORTEST_SECRET else text
    return text[:300]


def where(error: BaseException) -> str:
    """The frames that it passed, as source lines alone: formatters that print variables would print secrets."""
    return "".join(traceback.format_tb(error.__traceback__))
