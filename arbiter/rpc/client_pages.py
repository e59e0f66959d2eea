"""A list that comes in pages, as one iterator."""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Generic, TypeVar

import trio

T = TypeVar("T")

Fetch = Callable[[str], Awaitable[tuple[Iterable[T], str]]]
"""The page of a token, and the next page's token, empty at the end."""


class Pages(AsyncIterator[T], Generic[T]):
    """Each page is asked for when it is needed. No generator, so that leaving it half read leaves nothing behind."""

    def __init__(self, fetch: Fetch[T]) -> None:
        self._fetch = fetch
        self._page: deque[T] = deque()
        self._token: str | None = ""

    async def __anext__(self) -> T:
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self._page:
            if self._token is None:
                raise StopAsyncIteration
            page, after = await self._fetch(self._token)
            self._page.extend(page)
            self._token = after or None
        return self._page.popleft()
