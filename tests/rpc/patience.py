"""How long the rpc tests wait for anything, and how they wait for what tells nobody."""

from collections.abc import Callable

import trio

SECONDS = 10
"""The longest that anything here may take; passing tests wait for events."""


async def until(condition: Callable[[], object]) -> None:
    """Wait for something in this process that tells nobody."""
    with trio.fail_after(SECONDS):
        while not condition():  # noqa: ASYNC110 what is looked at has no event
            await trio.sleep(0.002)
