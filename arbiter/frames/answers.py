"""What a recording answers to requests: the same request gets the recorded answers in order, and the last one again and again.

A POST of a list is a question about each of its elements. Where nobody asked for just this list, the answer is put together from what
was last told of each element.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from arbiter.frames.lines import Exchange
from arbiter.frames.venue_side import Answer, Asked


class Timed(NamedTuple):
    """An answer, and when it came: nanoseconds since the start; 0 where it came before."""

    answer: Answer
    at_ns: int


class _Queue:
    def __init__(self) -> None:
        self.left: deque[Timed] = deque()
        self.told = False


class Answers:
    """Filled first, then asked."""

    def __init__(self) -> None:
        self._exact: dict[Asked, _Queue] = {}
        self._elements: dict[tuple[Asked, str], list[tuple[int, msgspec.Raw]]] = {}

    def add(self, exchange: Exchange) -> None:
        """In the order of the recording."""
        asked = Asked(exchange.venue, exchange.host, exchange.method, exchange.target, exchange.body.encode())
        answer = Answer(exchange.status, exchange.payload, exchange.headers)
        self._exact.setdefault(asked, _Queue()).left.append(Timed(answer, exchange.ns))
        if exchange.method == "POST" and exchange.status == 200:
            for element, raw in _answered_elements(asked.body, answer.body):
                self._elements.setdefault((asked._replace(body=b""), element), []).append((exchange.ns, raw))

    def next(self, asked: Asked, now_ns: int) -> Timed | None:
        """None where the recording has no answer."""
        queue = self._exact.get(asked)
        if queue is None:
            composed = self._composed(asked, now_ns)
            return None if composed is None else Timed(composed, 0)
        timed = queue.left[0]
        if len(queue.left) > 1:
            queue.left.popleft()
        elif queue.told:
            return timed._replace(at_ns=0)
        else:
            queue.told = True
        return timed

    def _composed(self, asked: Asked, now_ns: int) -> Answer | None:
        told = []
        for element in _asked_elements(asked.body) if asked.method == "POST" else ():
            known = self._elements.get((asked._replace(body=b""), element), ())
            newest = next((raw for ns, raw in reversed(known) if ns <= now_ns), None)
            if newest is not None:
                told.append(newest)
        return Answer(200, msgspec.json.encode(told)) if told else None


def _asked_elements(body: bytes) -> list[str]:
    """`[{"token_id": "71"}, {"token_id": "72"}]` asks for 71 and 72."""
    try:
        listed = msgspec.json.decode(body, type=list[dict[str, str]]) if body else []
    except (msgspec.DecodeError, RecursionError):
        return []
    return [next(iter(each.values())) for each in listed if len(each) == 1]


def _answered_elements(body: bytes, answer: bytes) -> Iterator[tuple[str, msgspec.Raw]]:
    """Each element of the answer with the one that was asked for: it names it in one of its fields."""
    asked = set(_asked_elements(body))
    if not asked:
        return
    try:
        for raw in msgspec.json.decode(answer, type=list[msgspec.Raw]):
            fields: dict[str, Any] = msgspec.json.decode(raw, type=dict[str, Any])
            for value in fields.values():
                if isinstance(value, str) and value in asked:
                    yield value, raw.copy()
                    break
    except (msgspec.DecodeError, RecursionError):
        return
