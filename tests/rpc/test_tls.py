"""TLS on the server: official and hostile clients, clients' certificates, files that change, files that do not fit.

The clock is the real one.
"""

import os
import shutil
import socket
import ssl
import stat
import subprocess
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial

import grpc
import pytest
import trio

from arbiter.certs import Certified, issue_client, issue_server, make_authority, make_certs
from arbiter.errors import ConfigError
from arbiter.rpc import server as server_module
from arbiter.rpc import tls as tls_module
from arbiter.rpc.client_errors import NotConnected
from arbiter.rpc.client_tls import ClientTls
from arbiter.rpc.dial import connect, connect_local
from arbiter.rpc.listener import open_listener, open_local_listener, port_of
from arbiter.rpc.server_limits import ServerLimits
from arbiter.rpc.tls import PemFiles, ServerTls, load_context
from arbiter.v1.user_pb2 import AuthRequest, AuthResponse
from tests.rpc.served import Served

UNARY, STREAM = "test.Service/Unary", "test.Service/Stream"
HELLO = AuthRequest(api_key="hello")
SECONDS = 10
SETTINGS = b"\x04\x00\x00\x00\x00\x00"
"""Kind, flags and stream of the frame that greets."""


class Pki:
    """Files of an authority, a server and a client of its, and of an authority that nobody here trusts."""

    def __init__(self, folder):
        self.folder = folder
        make_certs(folder)
        make_certs(folder / "strange")
        self.authority = Certified((folder / "ca.pem").read_bytes(), (folder / "ca.key").read_bytes())

    def put(self, name, certified):
        """These files; the key is its owner's alone."""
        for kind, data in (("key", certified.key), ("pem", certified.cert)):
            path = self.folder / f"{name}.{kind}"
            path.write_bytes(data)
            path.chmod(0o600)

    def server(self, *, mutual=False, name="server"):
        files = PemFiles(self.folder / f"{name}.pem", self.folder / f"{name}.key", self.folder / "ca.pem" if mutual else None)
        return ServerTls(files, lambda: round(datetime.now(UTC).timestamp() * 1000))

    def client(self, name=None, *, ca="ca"):
        """What our client trusts and shows."""
        path = lambda part: str(self.folder / part)  # noqa: E731
        return ClientTls(path(f"{ca}.pem"), *((path(f"{name}.pem"), path(f"{name}.key")) if name else ()))

    def official(self, name=None, *, ca="ca"):
        """The same for the official one."""
        read = lambda part: (self.folder / part).read_bytes()  # noqa: E731
        key, cert = (read(f"{name}.key"), read(f"{name}.pem")) if name else (None, None)
        return grpc.ssl_channel_credentials(read(f"{ca}.pem"), key, cert)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return Pki(tmp_path_factory.mktemp("certs"))


@pytest.fixture
def pki(tmp_path, shared):
    """Files that a test may change."""
    shutil.copytree(shared.folder, tmp_path / "certs")
    return Pki(tmp_path / "certs")


@asynccontextmanager
async def serving(tls, limits=None):
    served = Served(limits, tls)
    async with await open_listener("localhost", 0) as listener, trio.open_nursery() as nursery:
        served.port = port_of(listener)
        nursery.start_soon(served.server.serve, listener)
        yield served
        nursery.cancel_scope.cancel()


async def ask(served, tls, request=HELLO, host="127.0.0.1"):
    """The answer that our client gets, or the error."""
    context = tls and tls.context()
    with trio.fail_after(SECONDS):
        try:
            async with connect(host, served.port, context) as channel:
                try:
                    return await channel.unary(UNARY, request, AuthResponse, (), SECONDS)
                except NotConnected as error:
                    lost = error
        except NotConnected as error:
            return error
    return lost


async def shown(port, context):
    """The serial number of the certificate that the server shows now."""
    stream = await trio.open_ssl_over_tcp_stream("127.0.0.1", port, ssl_context=context)
    with trio.fail_after(SECONDS):
        await stream.do_handshake()
    serial = stream.getpeercert()["serialNumber"]
    await stream.transport_stream.aclose()
    return int(serial, 16)


def h2_context(pki, **limits):
    context = ssl.create_default_context(cafile=pki.folder / "ca.pem")
    context.set_alpn_protocols(["h2"])
    for name, value in limits.items():
        setattr(context, name, value)
    return context


# -- official clients and ours --


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_an_official_client_calls_and_streams_over_tls(shared, make_official, host):
    async with serving(shared.server()) as served:
        official = make_official(f"{host}:{served.port}", shared.official())
        assert (await official.call(UNARY, HELLO)).user_id == "hello"
        assert (await official.first(official.stream(STREAM, HELLO))).user_id == "hello"


async def test_an_official_client_with_a_certificate_of_the_authority_is_let_in(shared, make_official):
    async with serving(shared.server(mutual=True)) as served:
        official = make_official(f"localhost:{served.port}", shared.official("client"))
        assert (await official.call(UNARY, HELLO)).user_id == "hello"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize("mutual", [False, True], ids=["tls", "mutual"])
async def test_our_client_calls_over_both(shared, mutual, host):
    async with serving(shared.server(mutual=mutual)) as served:
        assert (await ask(served, shared.client("client" if mutual else None), host=host)).user_id == "hello"


@pytest.mark.parametrize(("days", "let_in"), [(-1, False), (2, True)], ids=["expired", "valid"])
async def test_a_clients_certificate_that_has_expired_lets_nobody_in(pki, make_official, days, let_in):
    before = datetime.now(UTC) - timedelta(days=30)
    pki.put("old", issue_client(pki.authority, "old", before, days=30 + days))
    async with serving(pki.server(mutual=True)) as served:
        official = make_official(f"localhost:{served.port}", pki.official("old"))
        if let_in:
            assert (await official.call(UNARY, HELLO)).user_id == "hello"
        else:
            assert (await official.refusal(UNARY, HELLO)).code() is grpc.StatusCode.UNAVAILABLE
            assert isinstance(await ask(served, pki.client("old")), NotConnected)


@pytest.mark.parametrize("shows", [None, "strange/client", "server"], ids=["nothing", "a stranger's", "a server's"])
async def test_without_a_clients_certificate_of_the_authority_nobody_is_let_in(shared, make_official, shows, logged):
    async with serving(shared.server(mutual=True)) as served:
        served.unary = None
        official = make_official(f"localhost:{served.port}", shared.official(shows))
        assert (await official.refusal(UNARY, HELLO)).code() is grpc.StatusCode.UNAVAILABLE
        assert isinstance(await ask(served, shared.client(shows)), NotConnected)
        assert served.server.calls == 0
    assert len([line for line in logged if line["problem"].startswith("TLS: ")]) == 1


async def test_our_client_says_that_a_certificate_is_wanted_before_any_call(shared):
    async with serving(shared.server(mutual=True)) as served:
        with pytest.raises(NotConnected, match="it wants a client certificate: give one with its key"):
            async with connect("localhost", served.port, shared.client().context()):
                pytest.fail("it is not connected")


async def test_a_server_of_another_authority_is_not_trusted(shared, make_official):
    async with serving(shared.server()) as served:
        assert "certificate is not trusted" in str(await ask(served, shared.client(ca="strange/ca")))
        official = make_official(f"localhost:{served.port}", shared.official(ca="strange/ca"))
        assert (await official.refusal(UNARY, HELLO)).code() is grpc.StatusCode.UNAVAILABLE
        assert (await ask(served, shared.client())).user_id == "hello"


async def test_the_machines_own_authorities_do_not_vouch_for_ours(shared):
    async with serving(shared.server()) as served:
        assert "certificate is not trusted" in str(await ask(served, ClientTls()))


async def test_a_server_of_another_name_is_not_trusted(pki, make_official):
    pki.put("server", issue_server(pki.authority, ["other.example.com"], datetime.now(UTC)))
    async with serving(pki.server()) as served:
        for host in ("localhost", "127.0.0.1"):
            assert f"certificate is not valid for '{host}'" in str(await ask(served, pki.client(), host=host))
        official = make_official(f"localhost:{served.port}", pki.official())
        assert (await official.refusal(UNARY, HELLO)).code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("mutual", [False, True], ids=["tls", "mutual"])
@pytest.mark.parametrize("near", [False, True], ids=["elsewhere", "here"])
async def test_a_peer_is_verified_by_being_here_or_by_its_certificate(shared, monkeypatch, mutual, near):
    seen = []

    async def note(message, request):
        seen.append(request.verified_peer)
        return AuthResponse()

    monkeypatch.setattr(server_module, "is_loopback", lambda peer: near)
    async with serving(shared.server(mutual=mutual)) as served:
        served.unary = note
        await ask(served, shared.client("client"))
    assert seen == [mutual or near]


# -- who speaks something else --


async def test_clear_text_to_a_port_that_speaks_tls_is_dropped(shared, make_official, connect_raw):
    async with serving(shared.server()) as served:
        official = make_official(f"localhost:{served.port}")
        assert (await official.refusal(UNARY, HELLO)).code() is grpc.StatusCode.UNAVAILABLE
        assert "does the server want TLS" in str(await ask(served, None))
        async with connect_raw(served.port) as raw:
            raw.begin(f"/{UNARY}")
            await raw.send()
            with trio.fail_after(SECONDS), suppress(trio.BrokenResourceError):  # an alert, then the end
                while await raw.stream.receive_some():
                    pass
        assert (await ask(served, shared.client())).user_id == "hello"


async def test_tls_to_a_port_in_clear_is_dropped_and_told(shared, make_official):
    async with serving(None) as served:
        assert "it speaks no TLS there" in str(await ask(served, shared.client()))
        official = make_official(f"localhost:{served.port}", shared.official())
        assert (await official.refusal(UNARY, HELLO)).code() is grpc.StatusCode.UNAVAILABLE
        assert (await ask(served, None)).user_id == "hello"


@pytest.mark.parametrize("offers", [[], ["http/1.1"], ["h2c", "h3"]], ids=["nothing", "http/1.1", "others"])
async def test_a_client_that_does_not_ask_for_http2_is_dropped(shared, eventually, offers):
    context = ssl.create_default_context(cafile=shared.folder / "ca.pem")
    if offers:
        context.set_alpn_protocols(offers)
    async with serving(shared.server()) as served:
        stream = await trio.open_ssl_over_tcp_stream("127.0.0.1", served.port, ssl_context=context)
        with trio.fail_after(SECONDS):
            await stream.do_handshake()
            assert await stream.transport_stream.receive_some() == b""
        await stream.transport_stream.aclose()
        await eventually(lambda: served.server.connections == 0)


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["nothing", "a part of a hello"])
async def test_a_handshake_that_is_not_finished_is_ended_in_time(shared, sent, eventually, logged):
    async with serving(shared.server(), ServerLimits(handshake_seconds=0.2)) as served:
        async with await trio.open_tcp_stream("127.0.0.1", served.port) as stream:
            if sent:
                await stream.send_all(sent)
            await eventually(lambda: served.server.connections == 1)
            with trio.fail_after(SECONDS):
                assert await stream.receive_some() == b""
        await eventually(lambda: served.server.connections == 0)
        assert [line["problem"] for line in logged] == ["TLS: no handshake in time"]
        assert (await ask(served, shared.client())).user_id == "hello"


async def test_many_unfinished_handshakes_hold_up_nobody_else(shared):
    async with serving(shared.server()) as served:
        idle = [await trio.open_tcp_stream("127.0.0.1", served.port) for _ in range(50)]
        assert (await ask(served, shared.client())).user_id == "hello"
        for stream in idle:
            await stream.aclose()


async def test_a_stop_does_not_wait_for_a_handshake(shared, eventually):
    async with serving(shared.server()) as served, await trio.open_tcp_stream("127.0.0.1", served.port) as stream:
        await eventually(lambda: served.server.connections == 1)
        with trio.fail_after(2):
            await served.server.stop(1)
            assert await stream.receive_some() == b""
        await eventually(lambda: served.server.connections == 0)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_both_versions_are_spoken_with_keys_that_are_forgotten(shared, version):
    context = h2_context(shared, minimum_version=version, maximum_version=version)
    async with serving(shared.server()) as served:
        stream = await trio.open_ssl_over_tcp_stream("localhost", served.port, ssl_context=context)
        with trio.fail_after(SECONDS):
            await stream.do_handshake()
        name, spoken, _ = stream.cipher()
        assert spoken == version.name.replace("_", ".")
        assert "GCM" in name or "CHACHA20" in name
        assert spoken == "TLSv1.3" or name.startswith("ECDHE-")
        assert stream.compression() is None
        await stream.transport_stream.aclose()


@pytest.mark.parametrize(
    "offer", [["-tls1_1"], ["-tls1_2", "-cipher", "AES128-SHA256"]], ids=["an old version", "a cipher that HTTP/2 forbids"]
)
async def test_what_is_not_safe_is_not_spoken(shared, offer):
    async with serving(shared.server()) as served:
        with trio.fail_after(SECONDS):
            said = await trio.run_process(s_client(served.port, *offer), capture_stdout=True, stderr=subprocess.DEVNULL, check=False)
    assert b"Cipher is (NONE)" in said.stdout


async def test_no_renegotiation_is_offered(shared):
    """A client that asks for one (R, in OpenSSL's) is refused: it would cost the server far more than the client."""
    async with serving(shared.server()) as served, trio.open_nursery() as nursery:
        start = partial(trio.run_process, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        process = await nursery.start(start, s_client(served.port, "-tls1_2"))
        said = b""
        with trio.fail_after(SECONDS):
            while SETTINGS not in said:  # the server has greeted: nothing else of it is under way
                said += await process.stdout.receive_some()
            await process.stdin.send_all(b"R\n")
            async for more in process.stdout:
                said += more
    assert b"RENEGOTIATING" in said
    assert b"no renegotiation" in said


def s_client(port, *options):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed here")
    return ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-alpn", "h2", *options]


# -- large messages --


async def test_large_messages_pass_both_ways(shared, make_official):
    large = AuthRequest(api_key="x" * 3_500_000)
    async with serving(shared.server()) as served:
        assert (await ask(served, shared.client(), large)).user_id == large.api_key
        official = make_official(f"localhost:{served.port}", shared.official())
        assert (await official.call(UNARY, large)).user_id == large.api_key


async def test_a_stream_waits_for_a_slow_reader_and_loses_nothing(shared):
    made = 0

    async def many(message, request):
        nonlocal made
        for number in range(200):
            made += 1
            yield AuthResponse(user_id=f"{number}:".ljust(100_000, "x"))

    async with serving(shared.server()) as served:
        served.stream = many
        with trio.fail_after(4 * SECONDS):
            async with (
                connect("localhost", served.port, shared.client().context()) as channel,
                channel.stream(STREAM, HELLO, AuthResponse, (), lambda reply: int(reply.user_id.partition(":")[0])) as replies,
            ):
                assert await anext(replies) == 0
                await trio.testing.wait_all_tasks_blocked(0.1)
                assert made < 200  # 20 MB would not have been taken by anybody
                assert [number async for number in replies] == list(range(1, 200))


async def test_calls_beside_each_other_share_a_connection(shared):
    async with serving(shared.server()) as served:
        answers = []

        async def call(channel, number):
            request = AuthRequest(api_key=f"{number}:" + "y" * (number * 1000))
            answers.append((await channel.unary(UNARY, request, AuthResponse, (), SECONDS)).user_id == request.api_key)

        with trio.fail_after(3 * SECONDS):
            async with connect("localhost", served.port, shared.client().context()) as channel, trio.open_nursery() as nursery:
                for number in range(100):
                    nursery.start_soon(call, channel, number)
                assert served.server.connections == 1
        assert answers == [True] * 100


# -- files that change --


@pytest.fixture
def at_once(monkeypatch):
    """The files are looked at for each connection."""
    monkeypatch.setattr(tls_module, "LOOK_SECONDS", 0)


async def test_a_new_certificate_is_used_from_the_next_connection_on_and_the_old_ones_live(pki, at_once):
    async with serving(pki.server()) as served, connect("localhost", served.port, pki.client().context()) as old:
        before = await shown(served.port, h2_context(pki))
        pki.put("server", issue_server(pki.authority, ["localhost", "127.0.0.1"], datetime.now(UTC)))
        after = await shown(served.port, h2_context(pki))
        assert before != after
        assert (await old.unary(UNARY, HELLO, AuthResponse, (), SECONDS)).user_id == "hello"


async def test_files_are_looked_at_once_a_second_at_most(pki, monkeypatch):
    tls, looks = pki.server(), []
    monkeypatch.setattr(tls, "_look", lambda: looks.append(trio.lowlevel.in_trio_run()))
    async with serving(tls) as served:
        for _ in range(5):
            assert (await ask(served, pki.client())).user_id == "hello"
    assert looks[0] is False  # in a thread
    assert len(looks) < 5


BROKEN = {
    "the key of another certificate": lambda pki: (pki.folder / "server.key").write_bytes((pki.folder / "client.key").read_bytes()),
    "no PEM": lambda pki: (pki.folder / "server.pem").write_text("nothing"),
    "half written": lambda pki: os.truncate(pki.folder / "server.pem", 100),
    "gone": lambda pki: (pki.folder / "server.pem").unlink(),
    "expired": lambda pki: pki.put("server", issue_server(pki.authority, ["localhost"], datetime.now(UTC) - timedelta(days=9), days=1)),
    "a key for everybody": lambda pki: (
        (pki.folder / "server.key").write_bytes((pki.folder / "server.key").read_bytes() + b"\n")
        and (pki.folder / "server.key").chmod(0o644)
    ),
}


@pytest.mark.parametrize("damage", BROKEN.values(), ids=BROKEN.keys())
async def test_broken_files_keep_the_certificate_before_and_are_told_once(pki, at_once, logged, damage):
    async with serving(pki.server()) as served:
        before = await shown(served.port, h2_context(pki))
        damage(pki)
        assert [await shown(served.port, h2_context(pki)) for _ in range(3)] == [before] * 3
        (line,) = logged
        assert (line["log_level"], line["event"]) == ("warning", "the changed TLS files are not used; those before stay in force")
        pki.put("server", issue_server(pki.authority, ["localhost", "127.0.0.1"], datetime.now(UTC)))
        assert await shown(served.port, h2_context(pki)) != before
        assert logged[-1]["event"] == "the changed TLS files are used from now on"


async def test_a_new_authority_of_clients_shuts_out_those_of_the_one_before(pki, at_once):
    async with serving(pki.server(mutual=True)) as served:
        assert (await ask(served, pki.client("client"))).user_id == "hello"
        mine = (pki.folder / "ca.pem").read_bytes()
        (pki.folder / "ca.pem").write_bytes((pki.folder / "strange/ca.pem").read_bytes())
        (pki.folder / "mine.pem").write_bytes(mine)
        assert isinstance(await ask(served, pki.client("client", ca="mine")), NotConnected)
        assert (await ask(served, pki.client("strange/client", ca="mine"))).user_id == "hello"


# -- files that do not fit --

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            lambda pki: (pki.folder / "server.pem").unlink(),
            r"cannot read \S+server\.pem: No such file or directory; look at .*grpc_tls_cert",
        ),
        (
            lambda pki: (pki.folder / "server.key").unlink(),
            r"cannot read \S+server\.key: No such file or directory; look at .*grpc_tls_key",
        ),
        (lambda pki: (pki.folder / "ca.pem").unlink(), r"cannot read \S+ca\.pem: No such file .*grpc_tls_client_ca"),
        (lambda pki: (pki.folder / "server.pem").write_text("x"), r"server\.pem has no certificate in PEM; set grpc_tls_cert"),
        (lambda pki: (pki.folder / "server.key").write_text("x"), r"server\.key has no private key in PEM; set grpc_tls_key"),
        (lambda pki: (pki.folder / "ca.pem").write_text("x"), r"ca\.pem has no certificate in PEM; set grpc_tls_client_ca"),
        (lambda pki: (pki.folder / "server.pem").write_bytes(b"x" * 2_000_000), r"server\.pem is larger than 1024 KiB"),
        (lambda pki: (pki.folder / "server.key").chmod(0o604), r"others may read or change the TLS key \S+server\.key; chmod 600 it"),
        (lambda pki: (pki.folder / "server.key").chmod(0o620), r"others may read or change the TLS key"),
        (lambda pki: pki.put("server", issue_server(pki.authority, ["a"], NOW - timedelta(days=9), 8)), r"expired on 2026-05-31 00:00 UTC"),
        (
            lambda pki: pki.put("server", issue_server(pki.authority, ["a"], NOW + timedelta(days=1))),
            r"is not valid before 2026-06-01 23:55",
        ),
        (lambda pki: pki.put("ca", make_authority(NOW - timedelta(days=4000))), r"every authority in \S+ca\.pem has expired"),
        (
            lambda pki: (pki.folder / "server.key").write_bytes((pki.folder / "client.key").read_bytes()),
            r"server\.key belongs to another certificate than \S+server\.pem; name the two",
        ),
    ],
)
def test_files_that_do_not_fit_are_told_in_one_line_with_the_cure(pki, change, line):
    authority = make_authority(NOW - timedelta(days=1))
    pki.put("server", issue_server(authority, ["localhost"], NOW))
    pki.put("ca", authority)
    files = PemFiles(pki.folder / "server.pem", pki.folder / "server.key", pki.folder / "ca.pem")
    load_context(files, NOW)
    change(pki)
    with pytest.raises(ConfigError, match=line) as caught:
        load_context(files, NOW)
    assert "\n" not in str(caught.value)


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked(pki):
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key((pki.folder / "server.key").read_bytes(), None)
    secret = serialization.BestAvailableEncryption(b"secret")
    (pki.folder / "server.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret))
    with pytest.raises(ConfigError, match="has a passphrase, which nobody is there to type"):
        pki.server()


def test_a_key_that_a_group_may_read_is_taken(pki):
    (pki.folder / "server.key").chmod(0o640)
    pki.server()


# -- a socket file --


async def test_beside_tls_a_socket_file_serves_its_owner_in_clear(shared, tmp_path, make_official):
    served, seen = Served(None, shared.server(mutual=True)), []

    async def note(message, request):
        seen.append((request.peer, request.verified_peer))
        return AuthResponse(user_id=message.api_key)

    served.unary, path = note, tmp_path / "s"
    async with (
        await open_listener("localhost", 0) as listener,
        open_local_listener(path) as local,
        trio.open_nursery() as nursery,
    ):
        served.port = port_of(listener)
        nursery.start_soon(served.server.serve, listener, local)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        async with connect_local(str(path)) as channel:
            assert (await channel.unary(UNARY, HELLO, AuthResponse, (), SECONDS)).user_id == "hello"
        assert (await make_official(f"unix:{path}").call(UNARY, HELLO)).user_id == "hello"
        assert (await ask(served, shared.client("client"))).user_id == "hello"
        nursery.cancel_scope.cancel()
    assert seen == [("local", True)] * 2 + [("127.0.0.1", True)]


def test_a_socket_file_with_too_long_a_path_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="choose a data folder with a shorter path, with --data"):
        open_local_listener(tmp_path / ("x" * 120))


async def test_a_socket_file_that_was_left_behind_is_replaced(tmp_path):
    for _ in range(2):
        await open_local_listener(tmp_path / "s").aclose()


# -- where it listens --


def has_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@pytest.mark.parametrize("host", ["0.0.0.0", pytest.param("::", marks=needs_ipv6)])
async def test_with_tls_it_may_listen_on_every_address(host):
    async with await open_listener(host, 0, tls=True) as listener:
        await (await trio.open_tcp_stream("127.0.0.1", port_of(listener))).aclose()
        if host == "::":
            await (await trio.open_tcp_stream("::1", port_of(listener))).aclose()


@needs_ipv6
async def test_it_may_listen_on_loopback_of_ipv6(shared):
    served = Served(None, shared.server())
    async with await open_listener("::1", 0) as listener, trio.open_nursery() as nursery:
        served.port = port_of(listener)
        nursery.start_soon(served.server.serve, listener)
        assert (await ask(served, shared.client(), host="::1")).user_id == "hello"
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", ""])
async def test_an_address_that_is_not_this_machines_is_told(host):
    with pytest.raises(ConfigError, match="grpc_host"):
        await open_listener(host, 0, tls=True)


async def test_addresses_of_one_ipv6_network_count_as_one():
    from arbiter.rpc.listener import neighbourhood

    assert neighbourhood("2001:db8:1:2::7") == neighbourhood("2001:db8:1:2:ffff::1") != neighbourhood("2001:db8:1:3::7")
    assert neighbourhood("192.0.2.7") != neighbourhood("192.0.2.8")
    assert neighbourhood("fe80::1%eth0") == neighbourhood("fe80::2%eth0")


async def test_a_certificate_of_another_authority_with_the_same_names_is_no_proof(pki):
    pki.put("impostor", issue_client(make_authority(datetime.now(UTC), "Arbiter local authority"), "arbiter client", datetime.now(UTC)))
    async with serving(pki.server(mutual=True)) as served:
        assert isinstance(await ask(served, pki.client("impostor")), NotConnected)
