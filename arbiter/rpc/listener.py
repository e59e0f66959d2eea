"""Where the server listens."""

import trio

from arbiter.errors import ConfigError

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
BACKLOG = 512


async def open_listener(host: str, port: int) -> trio.SocketListener:
    """A listener on loopback. Raises ConfigError for another host, and for a port that is taken."""
    if host not in LOOPBACK:
        raise ConfigError(f"grpc_host = {host!r} is not this machine itself", "use localhost: other addresses need TLS, which comes later")
    try:
        (listener,) = await trio.open_tcp_listeners(port, host="127.0.0.1" if host == "localhost" else host, backlog=BACKLOG)
    except OSError as error:
        raise ConfigError(f"port {port} for gRPC cannot be used ({error.strerror or error})", "choose another with --grpc-port") from None
    return listener


def port_of(listener: trio.SocketListener) -> int:
    """The port that it listens on."""
    port: int = listener.socket.getsockname()[1]
    return port
