"""The real program behind TLS: clients elsewhere with certificates, this machine's own commands without, and its stop."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from arbiter.certs import make_certs
from arbiter.v1 import strategy_pb2, user_pb2
from tests.e2e.conftest import CALL_SECONDS, ROOT, Person, Program

STOPS_WITHIN = 10.0
"""On a machine that does much else; by itself it takes between one second and two."""


class Secured:
    """The program, and how it is reached from elsewhere."""

    def __init__(self, start: Callable[..., Program], folder: Path, *, mutual: bool) -> None:
        self.certs = make_certs(folder / "certs").folder
        lines = [f'grpc_tls_cert = "{self.certs}/server.pem"', f'grpc_tls_key = "{self.certs}/server.key"']
        if mutual:
            lines.append(f'grpc_tls_client_ca = "{self.certs}/ca.pem"')
        (folder / "arbiter.toml").write_text("\n".join(lines))
        self.program = start()
        found = re.search(r"^  gRPC +localhost:(\d+) \(TLS(, with client certificates)?\)$", self.program.greeting, re.MULTILINE)
        assert found is not None, self.program.greeting
        assert bool(found[2]) is mutual
        self.address = f"localhost:{found[1]}"

    def channel(self, *, certificate: bool) -> grpc.Channel:
        read = lambda name: (self.certs / name).read_bytes()  # noqa: E731
        shown = (read("client.key"), read("client.pem")) if certificate else (None, None)
        return grpc.secure_channel(self.address, grpc.ssl_channel_credentials(read("ca.pem"), *shown))

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command of `arbiter`, in a folder without settings."""
        whole = [sys.executable, "-m", "arbiter", *words]
        environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
        return subprocess.run(whole, cwd=self.certs, env=environ, capture_output=True, text=True, timeout=60, check=False)


def sign_in(channel: grpc.Channel, api_key: str) -> str:
    call = channel.unary_unary(
        "/arbiter.v1.UserService/Authenticate",
        request_serializer=user_pb2.AuthRequest.SerializeToString,
        response_deserializer=user_pb2.AuthResponse.FromString,
    )
    return str(call(user_pb2.AuthRequest(api_key=api_key), timeout=CALL_SECONDS).access_token)


def follow(channel: grpc.Channel, token: str) -> grpc.Call:
    call = channel.unary_stream(
        "/arbiter.v1.StrategyService/GetArbOpportunities",
        request_serializer=strategy_pb2.ArbRequest.SerializeToString,
        response_deserializer=strategy_pb2.ArbOpportunity.FromString,
    )
    return call(strategy_pb2.ArbRequest(), metadata=(("authorization", f"Bearer {token}"),), timeout=60)


def test_with_mutual_tls_machines_elsewhere_need_certificates_and_this_ones_commands_do_not(
    start: Callable[..., Program], tmp_path: Path
) -> None:
    secured = Secured(start, tmp_path, mutual=True)
    program = secured.program
    with secured.channel(certificate=True) as channel:
        assert sign_in(channel, program.api_key)
    with secured.channel(certificate=False) as channel, pytest.raises(grpc.RpcError) as refused:
        sign_in(channel, program.api_key)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE

    here = secured.command("top", "--once", "--data", str(program.data))
    assert (here.returncode, "rpc" in here.stdout) == (0, True), here.stderr
    elsewhere = ["link-code", "--server", f"https://{secured.address}", "--api-key", program.api_key, "--ca", "ca.pem"]
    with_certificate = secured.command(*elsewhere, "--cert", "client.pem", "--key", "client.key")
    assert "/start" in with_certificate.stdout, with_certificate.stderr
    without = secured.command(*elsewhere)
    assert without.returncode == 1
    assert "it wants a client certificate: give one with its key" in without.stderr
    assert program.stop()[0] == 0
    assert not (program.data / "grpc.sock").exists()
    assert "Traceback" not in program.errors.read_text()


def test_the_programs_own_bot_answers_beside_mutual_tls(start: Callable[..., Program], tmp_path: Path) -> None:
    program = Secured(start, tmp_path, mutual=True).program
    you = Person(program.chat)
    assert you.ask(f"/start {program.link_code}", "Sandbox user")
    assert "position" in you.ask("/status", "P&L").lower()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_open_streams_with_unavailable_and_in_time(start: Callable[..., Program], tmp_path: Path, number: int) -> None:
    secured = Secured(start, tmp_path, mutual=False)
    program = secured.program
    with secured.channel(certificate=False) as channel:
        token = sign_in(channel, program.api_key)
        streams = [follow(channel, token) for _ in range(3)]
        begun, ended = threading.Barrier(4), []

        def read(stream: grpc.Call) -> None:
            try:
                next(stream)  # type: ignore[call-overload]
                begun.wait(60)
                for _ in stream:  # type: ignore[attr-defined]
                    pass
            except grpc.RpcError as error:
                ended.append((error.code(), error.details()))

        readers = [threading.Thread(target=read, args=(stream,)) for stream in streams]
        for reader in readers:
            reader.start()
        begun.wait(60)
        status, seconds = program.stop(number)
        for reader in readers:
            reader.join(10)
    assert (status, seconds < STOPS_WITHIN) == (0, True), seconds
    assert ended == [(grpc.StatusCode.UNAVAILABLE, "Arbiter is stopping")] * 3
