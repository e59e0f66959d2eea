"""The edge cache in front of Kalshi's REST books: what was answered is answered again for a while, though the book moved on."""

from collections.abc import Callable
from typing import NamedTuple

from arbiter.sandbox.http import Request, Response

REAL_MS = 15_000
"""About what the venue's lasts (sheet, B5)."""
MOST = 1000


class _Kept(NamedTuple):
    until_ms: int
    response: Response


class EdgeCache:
    """By path and query; the oldest goes when there are too many. `lasts_ms` 0: nothing is kept."""

    def __init__(self, lasts_ms: int) -> None:
        self._lasts_ms = lasts_ms
        self._kept: dict[str, _Kept] = {}

    def answer(self, request: Request, now_ms: int, fresh: Callable[[], Response]) -> Response:
        """What is kept for this request, or the fresh answer. Errors are not kept."""
        if not self._lasts_ms:
            return fresh()
        key = f"{request.path}?{sorted(request.query.items())}"
        kept = self._kept.get(key)
        if kept is not None and now_ms < kept.until_ms:
            return kept.response
        self._kept.pop(key, None)
        response = fresh()
        if response.status == 200:
            if len(self._kept) >= MOST:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = _Kept(now_ms + self._lasts_ms, response)
        return response
