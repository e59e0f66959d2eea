"""What the runtime tests share: a tree that lives for a block, the world of its parts, and logs that are kept instead of printed."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
import structlog
import trio

from arbiter.runtime import Environment, Group, Supervisor
from tests.runtime.tree_world import World

SEED = 7


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[Any]]:
    """Everything that is logged during the test."""
    with structlog.testing.capture_logs() as entries:
        yield entries


@pytest.fixture
def environment() -> Environment:
    return Environment.simulated(SEED)


@pytest.fixture
def living(environment: Environment) -> Callable[[Group], AbstractAsyncContextManager[Supervisor]]:
    """`async with living(group) as supervisor`: ready inside of the block, stopped in order after it."""

    @asynccontextmanager
    async def living(group: Group) -> AsyncIterator[Supervisor]:
        supervisor = Supervisor(group, environment)
        async with trio.open_nursery() as nursery:
            await nursery.start(supervisor.run)
            yield supervisor
            supervisor.stop()

    return living


@pytest.fixture
def world() -> World:
    return World()
