"""What the rpc tests share: a server with hand-made services, the whole program on a scripted world, and foreign clients."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import grpc
import pytest
import structlog.testing
import trio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from arbiter.app import compose
from arbiter.rpc.listener import open_listener, port_of
from arbiter.rpc.tokens import Keys, digest, make_signing_key
from arbiter.runtime import Environment
from arbiter.runtime.correlation import add_correlation
from arbiter.store.memory import MemoryStore
from tests.rpc.foreign_clients import Official, Probes, Raw
from tests.rpc.patience import until
from tests.rpc.served import Served
from tests.rpc.whole_program import CREDENTIAL, PEPPER, Later, Program, run_program


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], Any]:
    return until


# -- a server with services made of functions --


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """A server on loopback."""
    served = Served()
    async with await open_listener("localhost", 0) as listener, trio.open_nursery() as nursery:
        served.port = port_of(listener)
        nursery.start_soon(served.server.serve, listener)
        yield served
        nursery.cancel_scope.cancel()


# -- clients that are not ours --


@pytest.fixture
def make_official() -> Iterator[Callable[..., Official]]:
    """Official clients, closed at the end."""
    made: list[Official] = []

    def make(address: str, credentials: grpc.ChannelCredentials | None = None) -> Official:
        made.append(Official(address, credentials))
        return made[-1]

    yield make
    for each in made:
        each.channel.close()


@pytest.fixture
def official(served: Served, make_official: Callable[[str], Official]) -> Official:
    return make_official(served.address)


@pytest.fixture
def connect_raw() -> Callable[[int], Any]:
    """`async with connect_raw(port) as raw`."""

    @asynccontextmanager
    async def connect(port: int) -> AsyncIterator[Raw]:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            yield Raw(stream)

    return connect


def from_info(_logger: Any, _method: str, event: Any) -> Any:
    """What the program tells unless it is asked for more."""
    if event["level"] == "debug":
        raise structlog.DropEvent
    return event


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    """What is logged from INFO on, as dictionaries, with the correlation id where there is one."""
    with structlog.testing.capture_logs([structlog.processors.add_log_level, from_info, add_correlation]) as lines:
        yield lines


# -- the whole program --


@pytest.fixture(scope="session")
def kalshi_key() -> tuple[bytes, bytes]:
    """A private and a public key (PEM) for Kalshi's sockets."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private, key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
async def program(start_program: Callable[..., Any]) -> AsyncIterator[Program]:
    """Everything but sockets to the venues and a database: those are in memory. The clock is the real one."""
    async with start_program(MemoryStore()) as program:
        yield program


@pytest.fixture
def start_program(keys: Keys, kalshi_key: tuple[bytes, bytes]) -> Callable[..., Any]:
    """`async with start_program(store, totp=..., later=...) as program`; on a store that was used before, what it holds is there."""
    return lambda store, **options: run_program(store, keys, kalshi_key, **options)


@pytest.fixture
def later() -> Later:
    """A clock for `start_program` that a test can set forward."""
    return Later()


# -- keys and clocks --


@pytest.fixture(scope="session")
def keys() -> Keys:
    return Keys(make_signing_key(), PEPPER, "arbiter:sandbox:rpc-tests", digest(CREDENTIAL, PEPPER))


class Clock:
    """Both clocks, turned by hand."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    @property
    def environment(self) -> Environment:
        return Environment(lambda: round(self.seconds * 1000), lambda: self.seconds, Random(1))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def core(clock: Clock, keys: Keys) -> Any:
    """The core of a program that does not run, on the clock turned by hand."""
    return compose(clock.environment, MemoryStore(), [], (), keys, None).core  # type: ignore[arg-type]  # nothing listens


# -- official clients whose generated modules would be in the way here --


@pytest.fixture
def probes() -> Probes:
    return Probes()
