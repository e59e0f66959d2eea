"""The feed of public trades: the newest of each outcome, then each as it happens, and none twice."""

from collections.abc import Callable, Iterable

from arbiter.domain.book import PublicTrade
from arbiter.domain.ids import OutcomeKey
from arbiter.rpc.change import Change
from arbiter.rpc.feed import Source
from arbiter.rpc.list_feed import ListFeed

_Change = Change[OutcomeKey, PublicTrade]


class TradeFeed(ListFeed[OutcomeKey, PublicTrade]):
    """Trades of these outcomes. Where one is followed no more its topic tells the newest trade once more: it did not happen again."""

    def __init__(self, source: Source[OutcomeKey, PublicTrade], now_ms: Callable[[], int], outcomes: Iterable[OutcomeKey]) -> None:
        super().__init__(source, now_ms, outcomes)
        self._last: dict[OutcomeKey, PublicTrade] = {}
        """What was told last of each."""

    def next(self, change: _Change) -> bytes | None:
        if self._is_known(change):
            return None
        self._last[change.key] = change.event
        return super().next(change)

    def hold(self, change: _Change) -> None:
        if not self._is_known(change):
            super().hold(change)

    def _pop(self) -> _Change:
        change = super()._pop()
        self._last[change.key] = change.event
        return change

    def _is_known(self, change: _Change) -> bool:
        """Told, or about to be. Two trades may be alike in all that the venue says of them."""
        waits = self._waiting.get(change.key)
        return change.event is (waits.change.event if waits is not None else self._last.get(change.key))
