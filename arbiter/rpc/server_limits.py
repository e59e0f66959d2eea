"""How much the server takes: of connections, of calls, of silence. Durations in seconds, sizes in bytes."""

import msgspec


class ServerLimits(msgspec.Struct, frozen=True):
    """The defaults are for one machine with many clients."""

    connections: int = 1_000
    connections_from_one_address: int = 500
    handshakes: int = 400
    """Connections on which TLS, the preface and SETTINGS are not all there yet; they are in none of the caps above."""
    handshakes_from_one_address: int = 100
    local_connections: int = 100
    """Through the socket file, which is in none of the other caps."""
    streams: int = 1_000
    """Calls under way on one connection, told to its client."""
    calls: int = 20_000
    """Handlers that run, of all connections."""
    waiting: int = 2_000
    """Calls whose message has not come, of all connections. One that comes whole, or a stop, is never refused for them."""
    strangers: int = 1_000
    """Calls of nobody that run: sign-ins, health, reflection."""
    strangers_waiting: int = 100
    """Calls of nobody whose message has not come, of one connection: a bot signs in as many of its people at once."""
    strangers_message: int = 8 * 1024
    """The longest message that is read from nobody, and it may not be packed."""
    held_by_one: int = 16 * 2**20
    """What is kept of unfinished requests, of one connection; and what waits of its answers."""
    held_by_all: int = 256 * 2**20
    handshake_seconds: float = 5.0
    """From the accept until the client has said what it is, TLS included; and until a header block that it began is finished."""
    body_seconds: float = 30.0
    """Until a call's message is there."""
    strangers_body_seconds: float = 5.0
    """The same for a call of nobody."""
    idle_seconds: float = 900.0
    """Without a call, until the connection is ended."""
    stranger_seconds: float = 60.0
    """The same where no call of an account was ever admitted on it."""
    silent_seconds: float = 60.0
    """Without a byte, until the client is asked whether it lives."""
    pong_seconds: float = 20.0
    """For the answer to that."""
    slow_seconds: float = 30.0
    """With something to read and reading nothing, until a call is ended."""
    overloaded_seconds: float = 0.5
    """Late by so much, the program takes no new call, but stops and cancels, until it has caught up."""
