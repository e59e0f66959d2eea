"""What went wrong, in one line for a person: each class of the client's errors by how to react to it. Pure."""

import re

from arbiter.bot.faults import NoAnswer, NotLinked
from arbiter.bot.views import seconds
from arbiter.rpc.client_errors import (
    ArbiterClientError,
    AuthenticationError,
    InvalidRequestError,
    NotConnected,
    NotFoundError,
    NotPermittedError,
    RateLimitError,
    RefusedError,
    UnavailableError,
    UncertainError,
)

TRADING_STOPPED = "Trading is stopped: /resume CONFIRM first."
STOPPED_FOR_ALL = "Trading is stopped for everybody by an operator: it goes on when they resume it."
NOT_LINKED = "This Telegram account is not linked to a trading account. Send /start to see how."


def explain(error: ArbiterClientError) -> str:
    """Plain text."""
    match error:
        case NotLinked():
            return NOT_LINKED
        case NoAnswer():
            return "Arbiter did not answer in time. Nothing was changed; please try again in a moment."
        case RateLimitError():
            return f"Too much at once ({_limit(error)}): try again shortly, in {seconds(error.retry_after_ms)}."
        case NotConnected():
            return "Arbiter cannot be reached just now. Please try again in a moment."
        case UnavailableError():
            return f"Arbiter cannot answer just now: {error}. Please try again in a moment."
        case UncertainError():
            return "Arbiter did not answer in time: whether it was done is not known. Look with /status, then repeat it if need be."
        case NotPermittedError():
            return f"Not allowed: {error}."
        case InvalidRequestError():
            return f"That is not right: {error}."
        case RefusedError(reason="TRADING_HALTED"):
            return TRADING_STOPPED
        case RefusedError(reason="TRADING_HALTED_FOR_ALL"):
            return STOPPED_FOR_ALL
        case RefusedError():
            return f"Refused: {error}."
        case NotFoundError():
            return f"Not found: {error}."
        case AuthenticationError():
            return "Arbiter does not accept this bot just now; its operator must look after it."
        case _:
            return f"Arbiter could not do that: {error}."


def _limit(error: RateLimitError) -> str:
    """Which limit it was; the core's text ends with the wait, which is told apart."""
    return re.sub(r"; try again in [0-9.]+ s$", "", str(error))
