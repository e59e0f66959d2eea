"""The transport over real sockets and real TLS, against servers that are not ours. The clock is the real one."""

import http.server
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from websockets.sync.server import ServerConnection, serve

from arbiter.certs import make_certs
from arbiter.errors import VenueUnavailable
from arbiter.runtime import Environment
from arbiter.venues.network import SocketNetwork
from arbiter.venues.rest import RestClient
from arbiter.venues.websocket import connected

SECONDS = 10
FRAMES = [json.dumps({"event_type": "price_change", "number": number, "asset_id": "1234567890" * 7}) for number in range(2_000)]
FRAMES += [json.dumps({"levels": [["0.01", str(size)] for size in range(50_000)]}), "x" * 125, "y" * 126, "z" * 65_535, "é" * 40_000]


@pytest.fixture
def certs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An authority that this process trusts, and a server's certificate for 127.0.0.1."""
    make_certs(tmp_path / "certs")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certs" / "ca.pem"))
    return tmp_path / "certs"


def server_side(certs: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certs / "server.pem", certs / "server.key")
    return context


@contextmanager
def socket_server(certs: Path, handler: Callable[[ServerConnection], None], host: str = "127.0.0.1") -> Iterator[int]:
    """websockets' own server in a thread: a WebSocket over TLS that agrees to compression."""
    with serve(handler, host, 0, ssl=server_side(certs)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.socket.getsockname()[1]
        finally:
            server.shutdown()
            thread.join(SECONDS)


@pytest.fixture
def environment() -> Environment:
    return Environment.real()


async def test_compressed_messages_over_tls_come_whole_and_ours_arrive(certs: Path) -> None:
    agreed: list[str] = []
    asked: list[str] = []

    def venue(connection: ServerConnection) -> None:
        assert connection.response is not None
        agreed.append(connection.response.headers["Sec-WebSocket-Extensions"])
        asked.append(str(connection.recv(SECONDS)))
        for frame in FRAMES:
            connection.send(frame)
        asked.append(str(connection.recv(SECONDS)))

    heard: list[bytes] = []
    signs: list[None] = []
    with socket_server(certs, venue) as port, trio.fail_after(SECONDS):
        async with connected("venue", SocketNetwork(), f"wss://127.0.0.1:{port}/ws/market") as socket, trio.open_nursery() as nursery:
            await socket.send_text(b"subscribe")

            async def listen() -> None:
                with pytest.raises(VenueUnavailable, match="1000"):
                    await socket.listen(heard.append, lambda: signs.append(None))

            nursery.start_soon(listen)
            while len(heard) < len(FRAMES):  # noqa: ASYNC110 what is waited for has no event
                await trio.sleep(0.01)
            await socket.ping()
            await socket.send_text(b"PING")
    assert "permessage-deflate" in agreed[0]
    assert [each.decode() for each in heard] == FRAMES
    assert asked == ["subscribe", "PING"]
    assert signs


async def test_cancelled_at_any_moment_it_leaves_no_socket_open(certs: Path) -> None:
    ended = threading.Semaphore(0)
    begun: list[None] = []

    def venue(connection: ServerConnection) -> None:
        begun.append(None)
        try:
            for frame in FRAMES:
                connection.send(frame)
        finally:
            ended.release()

    with socket_server(certs, venue) as port, trio.fail_after(2 * SECONDS):
        for milliseconds in range(0, 60, 3):
            with trio.move_on_after(milliseconds / 1000):
                async with connected("venue", SocketNetwork(), f"wss://127.0.0.1:{port}/") as socket:
                    await socket.listen(lambda _: None, lambda: None)
    for _ in begun:
        assert ended.acquire(timeout=SECONDS), "the venue sees the end of each connection that came about"
    assert begun


async def dial(url: str, environment: Environment) -> None:
    """Ask there for something over HTTP, or for a WebSocket."""
    if url.startswith("wss"):
        async with connected("venue", SocketNetwork(), url):
            pass
    else:
        async with RestClient("venue", url, SocketNetwork(), environment) as rest:
            await rest.get("/x", int)


@pytest.mark.parametrize("scheme", ["wss", "https"])
async def test_a_certificate_of_nobody_that_is_trusted_is_refused_and_named(
    certs: Path, monkeypatch: pytest.MonkeyPatch, environment: Environment, scheme: str
) -> None:
    make_certs(certs / "strange")
    monkeypatch.setenv("SSL_CERT_FILE", str(certs / "strange" / "ca.pem"))
    with socket_server(certs, lambda _: None) as port, trio.fail_after(SECONDS), pytest.raises(VenueUnavailable) as caught:
        await dial(f"{scheme}://127.0.0.1:{port}", environment)
    assert "TLS handshake with 127.0.0.1" in str(caught.value)
    assert "certificate verify failed" in str(caught.value)


async def test_a_certificate_for_another_name_is_refused(certs: Path, environment: Environment) -> None:
    with socket_server(certs, lambda _: None, "127.0.0.2") as port, trio.fail_after(SECONDS), pytest.raises(VenueUnavailable) as caught:
        await dial(f"wss://127.0.0.2:{port}/", environment)
    assert "certificate is not valid for '127.0.0.2'" in str(caught.value)


async def test_who_does_not_listen_is_named_with_the_reason() -> None:
    with trio.fail_after(SECONDS), pytest.raises(OSError, match=r"^no connection to 127\.0\.0\.1:1: .*refused"):
        await SocketNetwork().connect("127.0.0.1", 1, tls=True)


class _Answering(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps({"path": self.path, "port": self.client_address[1]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Not on the screen."""


async def test_reads_over_tls_share_one_connection(certs: Path, environment: Environment) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answering)
    server.socket = server_side(certs).wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with trio.fail_after(SECONDS):
            async with RestClient("venue", f"https://127.0.0.1:{server.server_port}/v2", SocketNetwork(), environment) as rest:
                answers = [await rest.get(f"/markets/{number}", dict[str, Any]) for number in range(5)]
    finally:
        server.shutdown()
        thread.join(SECONDS)
        server.server_close()
    assert [answer["path"] for answer in answers] == [f"/v2/markets/{number}" for number in range(5)]
    assert len({answer["port"] for answer in answers}) == 1
