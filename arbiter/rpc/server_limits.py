"""How much the server takes: of connections, of calls, of silence. Durations in seconds, sizes in bytes."""

import msgspec


class ServerLimits(msgspec.Struct, frozen=True):
    """The defaults are for one machine with many clients."""

    connections: int = 1_000
    connections_from_one_address: int = 500
    streams: int = 1_000
    """Calls under way on one connection, told to its client."""
    calls: int = 20_000
    """Handlers that run, of all connections."""
    strangers: int = 1_000
    """Of these, those of nobody: sign-ins, health, reflection."""
    held_by_one: int = 16 * 2**20
    """What is kept of unfinished requests, of one connection; and what waits of its answers."""
    held_by_all: int = 256 * 2**20
    handshake_seconds: float = 10.0
    """Until the client has said what it is, and until a header block that it began is finished."""
    body_seconds: float = 30.0
    """Until a call's message is there."""
    idle_seconds: float = 900.0
    """Without a call, until the connection is ended."""
    silent_seconds: float = 60.0
    """Without a byte, until the client is asked whether it lives."""
    pong_seconds: float = 20.0
    """For the answer to that."""
    slow_seconds: float = 30.0
    """With something to read and reading nothing, until a call is ended."""
    overloaded_seconds: float = 0.5
    """Late by so much, the program takes no new call, but stops and cancels, until it has caught up."""
