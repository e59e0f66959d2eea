"""Where the server listens: on an address of this machine, and, where that speaks TLS, on a socket file for its owner's own commands."""

import errno
import ipaddress
import socket
from pathlib import Path

import trio

from arbiter.errors import ConfigError
from arbiter.rpc.client_address import is_loopback

BACKLOG = 512
LOCAL = "local"
"""The peer of a connection through the socket file, which has no address."""
_PORT_TROUBLE = (errno.EADDRINUSE, errno.EACCES)


async def open_listener(host: str, port: int, *, tls: bool = False) -> trio.SocketListener:
    """A listener on one address; `::` takes IPv4 too, and a name the first address that it has.

    Raises ConfigError for another host than loopback without TLS, for one that is not this machine's, and for a port that is taken.
    """
    if not host:
        raise ConfigError("grpc_host is empty", "use localhost, or 0.0.0.0 for every address, with TLS")
    if not tls and not is_loopback(host):
        raise ConfigError(
            f"grpc_host = {host!r} is not this machine itself, and there is no TLS", "set grpc_tls_cert and grpc_tls_key, or use localhost"
        )
    try:
        return await _listen("127.0.0.1" if host == "localhost" else host, port)
    except OSError as error:
        problem = error.strerror or str(error)
        if error.errno in _PORT_TROUBLE:
            raise ConfigError(f"port {port} for gRPC cannot be used ({problem})", "choose another with --grpc-port") from None
        cure = "give an address of this machine, or 0.0.0.0 or :: for all of them"
        raise ConfigError(f"grpc_host = {host!r} cannot be listened on ({problem})", cure) from None


async def _listen(host: str, port: int) -> trio.SocketListener:
    flags = trio.socket.AI_PASSIVE
    (family, kind, _, _, address), *_ = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM, flags=flags)
    sock = trio.socket.socket(family, kind)
    try:
        sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_REUSEADDR, 1)
        if family == trio.socket.AF_INET6:
            sock.setsockopt(trio.socket.IPPROTO_IPV6, trio.socket.IPV6_V6ONLY, host != "::")
        await sock.bind(address)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return trio.SocketListener(sock)


def open_local_listener(path: Path) -> trio.SocketListener:
    """A listener on a socket file that its owner alone can connect to. One that lies there is replaced. Raises ConfigError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        sock.bind(str(path))
        path.chmod(0o600)  # nobody can connect before `listen`
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        cure = "choose a data folder with a shorter path, with --data" if "too long" in str(error) else "choose another folder with --data"
        raise ConfigError(f"no socket can be made at {path} ({error.strerror or error})", cure) from None
    return trio.SocketListener(trio.socket.from_stdlib_socket(sock))


def address_of(listener: trio.SocketListener) -> str:
    """Where it can be reached from this machine."""
    host, port, *_ = listener.socket.getsockname()
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 nothing is bound here
    return f"[{here}]:{port}" if ":" in here else f"{here}:{port}"


def port_of(listener: trio.SocketListener) -> int:
    """The port that it listens on."""
    port: int = listener.socket.getsockname()[1]
    return port


def peer_of(sock: trio.socket.SocketType, address: tuple[object, ...]) -> str:
    """A client's address without its port; an IPv4 one as such, also where it came to `::`."""
    if sock.family == trio.socket.AF_UNIX:
        return LOCAL
    return str(address[0]).removeprefix("::ffff:")


def neighbourhood(peer: str) -> str:
    """What counts as one address: of IPv6 the first 64 bits, since who has one of its addresses has all of them."""
    if ":" not in peer:
        return peer
    return str(ipaddress.ip_network((peer.partition("%")[0], 64), strict=False))
