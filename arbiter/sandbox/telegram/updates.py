"""What the bot has not fetched yet, and the long poll that waits for it. https://core.telegram.org/bots/api#getupdates"""

from collections import deque

import msgspec

from arbiter.sandbox.http import Deferred, Response
from arbiter.sandbox.telegram.chats import first_number
from arbiter.sandbox.telegram.params import Params
from arbiter.sandbox.telegram.refusal import Refusal, bad_request, conflict

MOST_WAITING = 10_000
"""Updates that nobody fetches: the oldest are lost, as Telegram loses them after a day."""
MOST_AT_ONCE = 100
LONGEST_POLL_SECONDS = 50
OTHER_POLL = "terminated by other getUpdates request; make sure that only one bot instance is running"
WEBHOOK_ACTIVE = "can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"


class Update(msgspec.Struct, frozen=True):
    """One update, encoded once. `kind`: message, edited_message, callback_query, ..."""

    number: int
    kind: str
    encoded: bytes


class Poll(msgspec.Struct, frozen=True):
    """A getUpdates that waits."""

    answer: Deferred
    limit: int
    until_ms: int


class Updates:
    """The queue. One poll at a time; a second one ends the first with a conflict."""

    def __init__(self) -> None:
        self._waiting: deque[Update] = deque(maxlen=MOST_WAITING)
        self._last = 0
        self._allowed: frozenset[str] = frozenset()
        self._poll: Poll | None = None
        self.webhook = ""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def allowed(self) -> list[str]:
        """The kinds that the bot asked for; empty: all."""
        return sorted(self._allowed)

    @property
    def polled(self) -> bool:
        """Whether a poll waits now."""
        return self._poll is not None and self._poll.answer.open

    def add(self, kind: str, content: msgspec.Struct, now_ms: int) -> None:
        """Something happened that the bot should hear of. Answers the waiting poll."""
        if self._allowed and kind not in self._allowed:
            return
        self._last = self._last + 1 if self._last else first_number(now_ms)
        self._waiting.append(Update(self._last, kind, msgspec.json.encode({"update_id": self._last, kind: content})))
        if self._poll is not None and not self.webhook:
            self._answer(self._poll)

    def fetch(self, params: Params, now_ms: int) -> Response | Deferred:
        """getUpdates: at once when there is something, or when no patience was sent; later otherwise. Raises Refusal."""
        if self.webhook:
            raise conflict(WEBHOOK_ACTIVE)
        self.allow(params)
        self.end_poll(conflict(OTHER_POLL))
        self._confirm(params.integer("offset"))
        limit = params.integer("limit", MOST_AT_ONCE)
        limit = limit if 0 < limit <= MOST_AT_ONCE else MOST_AT_ONCE
        seconds = min(max(params.integer("timeout"), 0), LONGEST_POLL_SECONDS)
        if self._waiting or not seconds:
            return self._batch(limit)
        self._poll = Poll(Deferred(), limit, now_ms + 1000 * seconds)
        return self._poll.answer

    def allow(self, params: Params) -> None:
        """Take over `allowed_updates`, if it was sent. Raises Refusal."""
        listed = params.structure("allowed_updates", "allowed_updates")
        if listed is None:
            return
        if not isinstance(listed, list):
            raise bad_request("can't parse allowed updates list JSON object")
        self._allowed = frozenset(each for each in listed[:MOST_AT_ONCE] if isinstance(each, str))

    def end_poll(self, refusal: Refusal) -> None:
        """The waiting poll fails."""
        if self._poll is not None:
            self._poll.answer.complete(refusal.response())
            self._poll = None

    def forget_all(self) -> None:
        """drop_pending_updates."""
        self._waiting.clear()

    def tick(self, now_ms: int) -> None:
        """End a poll whose patience is over."""
        if self._poll is not None and (now_ms >= self._poll.until_ms or self._poll.answer.gone):
            self._answer(self._poll)

    def _confirm(self, offset: int) -> None:
        """Forget what is below the offset; a negative one keeps so many from the end."""
        if offset < 0:
            while len(self._waiting) > -offset:
                self._waiting.popleft()
        while self._waiting and self._waiting[0].number < offset:
            self._waiting.popleft()

    def _answer(self, poll: Poll) -> None:
        poll.answer.complete(self._batch(poll.limit))
        self._poll = None

    def _batch(self, limit: int) -> Response:
        chosen = [self._waiting[i].encoded for i in range(min(limit, len(self._waiting)))]
        return Response(200, b'{"ok":true,"result":[' + b",".join(chosen) + b"]}")
