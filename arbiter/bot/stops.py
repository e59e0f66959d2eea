"""Confirmed stops of trading: the last word among what a user sent, and repeated until the core confirms them."""

from collections.abc import Awaitable

import trio

from arbiter.bot import views
from arbiter.bot.backend import Backend
from arbiter.bot.explain import explain
from arbiter.bot.faults import NotLinked
from arbiter.bot.sender import Sender
from arbiter.bot.views import Answer
from arbiter.rpc.client import ArbiterClient
from arbiter.rpc.client_errors import ArbiterClientError
from arbiter.rpc.client_types import StopReport
from arbiter.runtime import Environment

REASON = "stopped from Telegram"
INSIST_SECONDS = 120.0
"""So long a stop that was not confirmed is repeated."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 10.0
MOST_INSISTED = 100
MOST_USERS = 10_000


class Stops:
    """Nothing here decides whether a user may stop: that is the core's."""

    def __init__(self, backend: Backend, sender: Sender, environment: Environment, nursery: trio.Nursery) -> None:
        self._backend = backend
        self._sender = sender
        self._environment = environment
        self._nursery = nursery
        self._arrived: dict[int, int] = {}
        self._insisted: dict[int, trio.CancelScope] = {}

    # -- the last word --

    def arrived(self, user: int, arrival: int) -> None:
        """A confirmed stop of that user came in."""
        self._arrived.pop(user, None)
        if len(self._arrived) >= MOST_USERS:
            self._arrived.pop(next(iter(self._arrived)))
        self._arrived[user] = arrival

    def overtook(self, user: int, arrival: int) -> bool:
        """Whether a stop of that user came after what came in as `arrival`: a stop is done before all that waits."""
        return self._arrived.get(user, 0) > arrival

    # -- until it is confirmed --

    def insist(self, user: int) -> bool:
        """Repeat the stop in the background and tell the user how it ended. False: too many are being repeated."""
        self.relent(user)
        if len(self._insisted) >= MOST_INSISTED:
            return False
        scope = self._insisted[user] = trio.CancelScope()
        self._nursery.start_soon(self._insist, user, scope)
        return True

    def relent(self, user: int) -> None:
        """The stop is confirmed, or no longer what the user wants."""
        scope = self._insisted.pop(user, None)
        if scope is not None:
            scope.cancel()

    async def _insist(self, user: int, scope: trio.CancelScope) -> None:
        answer: Answer | None = None
        with scope:
            answer = await self._repeat(user)
        if self._insisted.get(user) is scope:
            del self._insisted[user]
        if answer is not None:
            await self._sender.send(user, user, answer, first=True)

    async def _repeat(self, user: int) -> Answer | None:
        end = self._environment.monotonic() + INSIST_SECONDS
        pause = FIRST_PAUSE
        while True:
            await trio.sleep(pause * (1 - self._environment.random.random() / 2))
            pause = min(LONGEST_PAUSE, 2 * pause)
            late = self._environment.monotonic() >= end
            try:
                report = await self._backend.ask(user, emergency_stop)
            except NotLinked:
                return None
            except ArbiterClientError as error:
                if late:
                    return views.stop_given_up(explain(error))
            else:
                if late or is_complete(report):
                    return views.stopped_late(report)


def emergency_stop(client: ArbiterClient) -> Awaitable[StopReport]:
    """The call."""
    return client.emergency_stop(REASON)


def is_complete(report: StopReport) -> bool:
    """Whether every part of the stop is confirmed; otherwise it wants to be repeated."""
    return not (report.orders_unconfirmed or report.strategies_unconfirmed)
