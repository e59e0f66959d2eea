"""How much a bot may send: Telegram's published limits as token buckets. Time is told."""

from collections import OrderedDict

import msgspec

from arbiter.sandbox.telegram.refusal import too_many_requests

REMEMBERED_CHATS = 10_000


class SendLimits(msgspec.Struct, frozen=True):
    """Messages a second, and how many may come at once. By default what Telegram publishes: one a chat, thirty in all."""

    per_chat: float = 1.0
    chat_burst: int = 5
    in_all: float = 30.0
    burst_in_all: int = 30


UNLIMITED = SendLimits(1e9, 1_000_000_000, 1e9, 1_000_000_000)


class Bucket:
    """Fills at `rate` a second up to `size`; each message takes one."""

    def __init__(self, rate: float, size: int, now_ms: int) -> None:
        self._rate = rate
        self._size = size
        self._held = float(size)
        self._at = now_ms

    def wait_ms(self, now_ms: int) -> int:
        """How long until one can be taken; 0: now."""
        self._held = min(self._size, self._held + max(0, now_ms - self._at) * self._rate / 1000)
        self._at = max(self._at, now_ms)
        return 0 if self._held >= 1 else max(1, round((1 - self._held) * 1000 / self._rate))

    def take(self) -> None:
        """One message goes out."""
        self._held -= 1


class Limiter:
    """Counts the messages of the bot, by chat and in all."""

    def __init__(self, limits: SendLimits) -> None:
        self.limits = limits
        self._all: Bucket | None = None
        self._chats: OrderedDict[int, Bucket] = OrderedDict()

    def count(self, chat_id: int, now_ms: int) -> None:
        """A message is about to go to that chat. Raises Refusal (429) when it is one too many; a refused one counts nothing."""
        limits, in_all = self.limits, self._bucket_in_all(now_ms)
        chat = self._chats.pop(chat_id, None) or Bucket(limits.per_chat, limits.chat_burst, now_ms)
        self._chats[chat_id] = chat
        if len(self._chats) > REMEMBERED_CHATS:
            self._chats.popitem(last=False)
        _check(max(chat.wait_ms(now_ms), in_all.wait_ms(now_ms)))
        chat.take()
        in_all.take()

    def count_edit(self, now_ms: int) -> None:
        """A message is about to be edited, which counts in all but not in its chat. Raises Refusal (429)."""
        in_all = self._bucket_in_all(now_ms)
        _check(in_all.wait_ms(now_ms))
        in_all.take()

    def _bucket_in_all(self, now_ms: int) -> Bucket:
        if self._all is None:
            self._all = Bucket(self.limits.in_all, self.limits.burst_in_all, now_ms)
        return self._all


def _check(wait_ms: int) -> None:
    if wait_ms:
        raise too_many_requests(-(-wait_ms // 1000))
