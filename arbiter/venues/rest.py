"""Typed requests to a venue: in turn within its limits, with deadlines, repeated only where that is safe.

Every foreign error becomes VenueUnavailable (retry), VenueRejected (never retry) or, for what must happen once,
OrderUncertain (reconcile first). How bytes travel is in `http_pool.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, NoReturn, Self, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec
import trio

from arbiter.errors import OrderUncertain, VenueRejected, VenueUnavailable
from arbiter.venues.base import Network, Surroundings
from arbiter.venues.http_pool import Answer, HttpPool, NotCompressed, TooLarge, Unanswered
from arbiter.venues.limit_table import NO_LIMITS
from arbiter.venues.limiter import TOO_MANY, Limiter
from arbiter.venues.refusals import Refusal, describe, read_refusal
from arbiter.venues.request_line import Lane
from arbiter.venues.tally import BadInput, Tally
from arbiter.venues.wire_numbers import UNDECODABLE

T = TypeVar("T")

REQUEST_SECONDS = 10.0
"""For one attempt."""
CALL_SECONDS = 40.0
"""For all attempts, the pauses between them and the waiting for one's turn."""
ATTEMPTS = 3
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
"""A venue that wants a longer pause (`Retry-After`) is left alone: the caller gets the error and the wish."""
LARGEST_ANSWER = 32 * 1024 * 1024
_LATER = frozenset({408, 425, TOO_MANY})
_NOT_DONE = frozenset({425, TOO_MANY})
"""Answers that say for sure that nothing was done, but may be later: the engine restarts, too many requests."""

Params = Sequence[tuple[str, str]]
Sign = Callable[[str, str, bytes], Mapping[str, str]]
"""(method, path from the root without the query, body) -> headers that prove who asks. Called just before each attempt, since a
signature carries its time."""


class _Request(NamedTuple):
    method: str
    path: str
    params: Params
    body: bytes
    sign: Sign | None = None
    owner: str = ""
    parts: int = 1
    lane: Lane = Lane.ORDINARY

    @property
    def target(self) -> str:
        return self.path + (f"?{urlencode(self.params)}" if self.params else "")


class RestClient:
    """Requests to one base address, over a pool of connections that lives as long as the `async with` block.

    The limiter is the host's, shared by all its clients; without one nothing is held back.
    """

    def __init__(
        self,
        venue: str,
        base_url: str,
        network: Network,
        surroundings: Surroundings,
        *,
        limiter: Limiter | None = None,
        tally: Tally | None = None,
        largest: int = LARGEST_ANSWER,
    ) -> None:
        self._venue = venue
        self._base = base_url.rstrip("/")
        self._root = urlsplit(self._base).path
        self._surroundings = surroundings
        self._limiter = limiter or Limiter(venue, NO_LIMITS, surroundings)
        self._tally = tally or Tally(venue, surroundings)
        self._pool = HttpPool(base_url, network, largest)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._pool.aclose()

    # -- reads: repeated --

    async def get(
        self, path: str, type_: type[T], params: Params = (), *, sign: Sign | None = None, owner: str = "", seconds: float = CALL_SECONDS
    ) -> T:
        """Read and decode, within so many seconds in all; at most three attempts while the venue is unavailable."""
        return await self._read(_Request("GET", path, params, b"", sign, owner), type_, seconds)

    async def post(
        self, path: str, body: Any, type_: type[T], *, sign: Sign | None = None, owner: str = "", seconds: float = CALL_SECONDS
    ) -> T:
        """A read that the venue wants as POST (batches). Never for orders: it is repeated when unanswered."""
        return await self._read(_Request("POST", path, (), msgspec.json.encode(body), sign, owner), type_, seconds)

    async def _read(self, request: _Request, type_: type[T], seconds: float) -> T:
        end, attempt = trio.current_time() + seconds, 1
        while True:
            try:
                return self._decode(await self._attempt(request, end), request.path, type_)
            except VenueUnavailable as error:
                wish = (error.retry_after_ms or 0) / 1000
                pause = max(wish, self._pause(attempt))
                if attempt == ATTEMPTS or wish > LONGEST_PAUSE_SECONDS or trio.current_time() + pause >= end:
                    raise
            attempt += 1
            await trio.sleep(pause)

    def _pause(self, attempt: int) -> float:
        return min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0**attempt) * (0.5 + self._surroundings.random.random() / 2)

    async def _attempt(self, request: _Request, end: float) -> Answer:
        try:
            answer = await self._send(request, end)
        except Unanswered as error:
            self._count(error)
            raise VenueUnavailable(self._venue, error.problem) from error
        except TooLarge as error:
            raise VenueRejected(self._venue, str(error)) from error
        except NotCompressed as error:
            raise VenueUnavailable(self._venue, f"its answer is {error}") from error
        self._require_success(answer)
        return answer

    # -- orders: once --

    async def once(
        self,
        method: str,
        path: str,
        body: bytes,
        type_: type[T],
        *,
        order_id: str,
        sign: Sign | None = None,
        params: Params = (),
        owner: str = "",
        parts: int = 1,
        lane: Lane = Lane.ORDINARY,
        seconds: float = REQUEST_SECONDS,
        refused: Callable[[int, Refusal], bool] | None = None,
    ) -> T:
        """Send this, at most once, within so many seconds in all.

        VenueUnavailable: it was not sent, or the venue says that it did nothing and may later. VenueRejected: refused for good.
        OrderUncertain: sent, and what came of it is not known; so is it where this is cancelled. `refused` knows the answers of
        status 5xx by which the venue refuses for sure (a mode of trading).
        """
        end = trio.current_time() + seconds
        request = _Request(method, path, params, body, sign, owner, parts, lane)
        try:
            answer = await self._send(request, end)
        except Unanswered as error:
            self._count(error)
            if error.sent:
                raise OrderUncertain(order_id) from error
            raise VenueUnavailable(self._venue, f"nothing was sent: {error.problem}") from error
        except (TooLarge, NotCompressed) as error:
            raise OrderUncertain(order_id) from error
        status = answer.status
        if 200 <= status < 300:
            try:
                return self._decode(answer, path, type_)
            except VenueRejected as error:
                raise OrderUncertain(order_id) from error
        refusal = read_refusal(answer.body)
        if status in _NOT_DONE or (status >= 500 and refused is not None and refused(status, refusal)):
            self._raise_unavailable(answer, refusal)
        if 400 <= status < 500 and status not in _LATER:
            self._raise_rejected(answer, refusal)
        raise OrderUncertain(order_id)

    # -- both --

    async def _send(self, request: _Request, end: float) -> Answer:
        """Wait for the turn, send, read. Also raises what `Limiter.turn` does."""
        patience = end - trio.current_time()
        passage = await self._limiter.turn(
            request.method, request.path, patience, parts=request.parts, owner=request.owner, lane=request.lane
        )
        headers = request.sign(request.method, self._root + request.path, request.body) if request.sign else {}
        seconds = max(0.0, min(REQUEST_SECONDS, end - trio.current_time()))
        try:
            answer = await self._pool.exchange(request.method, self._base + request.target, headers, request.body, seconds)
        except (TooLarge, NotCompressed) as error:
            kind = BadInput.LARGE_ANSWER if isinstance(error, TooLarge) else BadInput.UNREADABLE_ANSWER
            self._tally.count(kind, f"{request.path}: {error}")
            raise
        return answer._replace(wish_ms=self._limiter.learn(passage, answer.status, answer.headers))

    def _count(self, error: Unanswered) -> None:
        if error.sent:  # else there was nobody to send anything
            self._tally.count(BadInput.UNANSWERED, error.problem)

    def _require_success(self, answer: Answer) -> None:
        if answer.status < 300:
            return
        refusal = read_refusal(answer.body)
        if answer.status in _LATER or answer.status >= 500:
            self._raise_unavailable(answer, refusal)
        self._raise_rejected(answer, refusal)

    def _raise_unavailable(self, answer: Answer, refusal: Refusal) -> NoReturn:
        wish = answer.wish_ms
        if wish is None and refusal.retry_after_seconds is not None:
            wish = round(refusal.retry_after_seconds * 1000)
        self._tally.count(BadInput.REFUSED_REQUEST, f"HTTP {answer.status}: {refusal.text}")
        raise VenueUnavailable(self._venue, f"HTTP {answer.status}: {refusal.text}", wish, refusal.code)

    def _raise_rejected(self, answer: Answer, refusal: Refusal) -> NoReturn:
        raise VenueRejected(self._venue, f"HTTP {answer.status}: {refusal.text}", refusal.code or str(answer.status))

    def _decode(self, answer: Answer, path: str, type_: type[T]) -> T:
        try:
            return msgspec.json.decode(answer.body, type=type_)
        except UNDECODABLE as error:
            what = str(error) if isinstance(error, msgspec.ValidationError) else describe(answer.body)
            self._tally.count(BadInput.UNREADABLE_ANSWER, f"{path}: {what}")
            raise VenueRejected(self._venue, f"{path} is not what the API promises: {what}") from error
