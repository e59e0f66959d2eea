"""`arbiter record` and `arbiter replay` as a person types them: real processes, real sockets, real time."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from arbiter.config import Settings
from arbiter.errors import ConfigError
from arbiter.frames.file import FramesFile
from arbiter.frames.lines import Exchange, Opened, Received
from arbiter.recorder import RealVenues, Wanted, numbered, record
from arbiter.runtime import Environment
from arbiter.sandbox.exchange import Sandbox
from arbiter.sandbox.generated import GeneratedWorld
from arbiter.sandbox.shells import Shell, Wake, serve_sandbox
from arbiter.venues.kalshi.client import KalshiHosts
from arbiter.venues.kalshi.hosts import DEMO
from arbiter.venues.kalshi.hosts import PRODUCTION as KALSHI_PRODUCTION
from arbiter.venues.kalshi.signing import KalshiSigner
from arbiter.venues.polymarket.client import PolymarketHosts
from arbiter.venues.polymarket.hosts import PRODUCTION as POLYMARKET_PRODUCTION

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 60
BOOKS = """\
{"format":"arbiter-recording-1","sample_interval_ms":3600000,"markets":[\
{"venue":"polymarket","id":"0x8f3a","event":"rain","title":"Rain?","tick":"0.01","yes":"7101","no":"7102","fee":"0.05","min_size":"5"},\
{"venue":"kalshi","id":"KXRAIN-26MAY01-Y","event":"KXRAIN-26MAY01","title":"Rain?","tick":"0.01","fee":"1"}],\
"pairs":[{"id":"rain","title":"Rain?","a":0,"b":1}]}
{"ms":0,"m":0,"bids":[["0.40","100"]],"asks":[["0.42","100"]]}
{"ms":0,"m":1,"bids":[["0.41","100"]],"asks":[["0.43","100"]]}
{"ms":3600000,"m":1,"bids":[["0.60","100"]],"asks":[["0.62","100"]]}
{"ms":7200000,"m":1,"bids":[["0.41","100"]],"asks":[["0.43","100"]]}
"""


def start(folder: Path, *arguments: str, seed: str = "0") -> "subprocess.Popen[bytes]":
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "SYSTEMROOT", "VIRTUAL_ENV")}
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-m", "arbiter", *arguments],
        cwd=folder,
        env={**kept, "PYTHONPATH": path, "PYTHONHASHSEED": seed},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def ended(process: "subprocess.Popen[bytes]") -> tuple[int, bytes, str]:
    with process:
        try:
            out, err = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
    return process.returncode, out, err.decode()


def wait_for_bytes(path: Path, size: int) -> None:
    deadline = time.monotonic() + SECONDS
    while not path.exists() or path.stat().st_size < size:
        assert time.monotonic() < deadline, f"{path} does not grow"
        time.sleep(0.05)


def test_a_recording_of_the_sandbox_replays_the_same_in_two_processes_with_other_hash_seeds(tmp_path):
    status, _, err = ended(start(tmp_path, "record", "a.zst", "--for", "8s"))
    assert status == 0, err
    assert re.search(r"recording polymarket and kalshi into a\.zst", err)
    assert re.search(r"a\.zst: [\d,]+ messages, [\d,]+ answers, [\d.]+ MiB\n", err)
    runs = [ended(start(tmp_path, "replay", "a.zst", seed=seed)) for seed in ("1", "2")]
    assert [status for status, _, _ in runs] == [0, 0]
    assert runs[0][1] == runs[1][1]
    lines = [json.loads(line) for line in runs[0][1].splitlines()]
    assert {line["state"] for line in lines} >= {"opened"}
    assert "opportunities: " in runs[0][2]


def test_a_signal_ends_a_recording_in_order_and_a_kill_leaves_what_was_flushed(tmp_path):
    for number, name in ((signal.SIGINT, "int.zst"), (signal.SIGKILL, "kill.zst")):
        process = start(tmp_path, "record", name)
        wait_for_bytes(tmp_path / name, 60_000)
        process.send_signal(number)
        status, _, err = ended(process)
        assert status == (0 if number == signal.SIGINT else -signal.SIGKILL), err
        lines = list(FramesFile(tmp_path / name).lines())
        assert sum(isinstance(line, Received) for line in lines) >= 2


def test_a_recording_of_books_replays_faster_than_it_was_sampled_and_tells_recorded_times(tmp_path):
    (tmp_path / "books.jsonl").write_text(BOOKS)
    status, _, err = ended(start(tmp_path, "replay", "books.jsonl", "--out", "found.jsonl"))
    assert status == 0, err
    lines = [json.loads(line) for line in (tmp_path / "found.jsonl").read_bytes().splitlines()]
    assert [(line["state"], line["pair"]) for line in lines] == [("opened", "rain"), ("closed", "rain")]
    assert lines[1]["duration_ms"] == lines[1]["at_ms"] - lines[1]["opened_ms"] == 3_600_000


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["replay", "none.zst"], "cannot read the recording none.zst: No such file"),
        (["replay", "a.zst", "--speed", "fast"], "'fast' is neither max nor a whole number"),
        (["replay", "a.zst", "--speed", "2", "--out", "b"], "--out and --pairs go with --speed max only"),
        (["replay", "books.jsonl", "--pairs", "none.json"], "cannot read none.json"),
        (["record", "books.jsonl"], "books.jsonl is there already"),
        (["record", "none/a.zst"], "cannot write none/a.zst"),
        (["record", "a.zst", "--for", "soon"], "'soon' is not a time such as 90s, 30m or 1h"),
        (["record", "a.zst", "--venues", "production"], "kalshi_key_id is not set; set kalshi_key_id and kalshi_key_file"),
    ],
)
def test_what_cannot_be_done_is_one_line_with_cause_and_cure(tmp_path, arguments, complaint):
    (tmp_path / "books.jsonl").write_text(BOOKS)
    status, out, err = ended(start(tmp_path, *arguments))
    told = [line for line in err.splitlines() if line.startswith("arbiter: ")]
    assert (status, out, len(told)) == (2, b"", 1), err
    assert complaint in told[0]
    assert "Traceback" not in err


# -- real venues, by address --


def key_pair() -> tuple[bytes, bytes]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private, key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


async def test_real_venues_are_recorded_by_their_addresses_each_file_by_itself(tmp_path):
    private, public = key_pair()
    environment = Environment.real()
    shell = Shell(Sandbox(GeneratedWorld(1, environment.unix_ms()), {"key": public}), environment.unix_ms, Wake())
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            ports = await nursery.start(serve_sandbox, shell)
            http = f"http://127.0.0.1:{ports.polymarket}"
            real = RealVenues(
                PolymarketHosts(http, http, f"ws://127.0.0.1:{ports.polymarket}"),
                KalshiHosts(f"http://127.0.0.1:{ports.kalshi}/trade-api/v2", f"ws://127.0.0.1:{ports.kalshi}"),
                KalshiSigner("key", private),
            )
            await record(Settings(), Wanted(tmp_path / "a.zst", "production", seconds=5, file_seconds=2), real)
            nursery.cancel_scope.cancel()
    for number in (1, 2):
        file = FramesFile(numbered(tmp_path / "a.zst", number))
        lines = list(file.lines())
        assert file.header.hosts["polymarket"]["gamma_url"] == http
        assert {line.venue for line in lines if isinstance(line, Opened)} == {"polymarket", "kalshi"}
        assert sum(isinstance(line, Exchange) for line in lines) >= 3


def test_real_venues_come_from_the_table_of_known_hosts(tmp_path):
    private, _ = key_pair()
    (tmp_path / "key.pem").write_bytes(private)
    settings = Settings(kalshi_key_id="key", kalshi_key_file=str(tmp_path / "key.pem"))
    production = RealVenues.of(settings, Wanted(tmp_path, "production"))
    assert (production.polymarket, production.kalshi) == (POLYMARKET_PRODUCTION, KALSHI_PRODUCTION)
    assert RealVenues.of(settings, Wanted(tmp_path, "demo")).kalshi == DEMO
    assert RealVenues.of(Settings(), Wanted(tmp_path, "production", only="polymarket")).kalshi is None
    assert RealVenues.of(settings, Wanted(tmp_path, "production", only="kalshi")).polymarket is None
    for broken in (Settings(kalshi_key_id="key"), Settings(kalshi_key_id="key", kalshi_key_file=str(tmp_path / "none"))):
        with pytest.raises(ConfigError, match="kalshi_key_file"):
            RealVenues.of(broken, Wanted(tmp_path, "production"))
    assert str(private) not in repr(production)


def test_further_files_are_numbered_before_the_ending():
    assert [str(numbered(Path("x/a.b.zst"), number)) for number in (1, 2, 3)] == ["x/a.b.zst", "x/a-2.b.zst", "x/a-3.b.zst"]
