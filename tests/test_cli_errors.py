"""The real program, started as a person starts it, where it cannot run: one line that names cause and cure, and status 2."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 15
HEADER = '{"format":"arbiter-recording-1","sample_interval_ms":1000,"markets":[],"pairs":[]}'


class Program:
    """Starts `python -m arbiter` in a folder of its own, with nothing of ours in the environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "SYSTEMROOT", "VIRTUAL_ENV")}
        self.environ = {**kept, "PYTHONPATH": str(ROOT)}

    def start(self, *arguments: str, **environ: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "arbiter", *arguments],
            cwd=self.folder,
            env={**self.environ, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def refused(self, *arguments: str, **environ: str) -> str:
        """The one line that it says before it gives up with status 2."""
        with self.start(*arguments, **environ) as process:
            try:
                out, err = process.communicate(timeout=SECONDS)
            finally:
                process.kill()
        assert (process.returncode, out) == (2, ""), err
        (line,) = err.splitlines()
        assert line.startswith("arbiter: ")
        return line


@pytest.fixture
def program(tmp_path):
    return Program(tmp_path)


@pytest.fixture
def busy_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield str(listening.getsockname()[1])


def test_a_busy_port(program, busy_port):
    line = program.refused("run", "--grpc-port", busy_port)
    assert line == f"arbiter: port {busy_port} for gRPC cannot be used (Address already in use); choose another with --grpc-port"


def test_a_data_folder_below_a_regular_file(program, tmp_path):
    (tmp_path / "file").write_text("")
    line = program.refused("run", "--data", "file/data", "--grpc-port", "0")
    assert line == "arbiter: cannot write to the data folder file/data: Not a directory; choose another folder with --data"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_data_folder_that_may_not_be_written(program, tmp_path):
    (tmp_path / "data").mkdir(mode=0o500)
    line = program.refused("run", "--data", "data", "--grpc-port", "0")
    assert "cannot write to the data folder data: Permission denied; mend its permissions" in line


def test_a_database_that_is_none(program, tmp_path):
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "data" / "arbiter.db").write_bytes(b"this is no database" * 500)
    line = program.refused("run", "--data", "data", "--grpc-port", "0")
    assert "arbiter.db" in line


def test_a_damaged_secret(program, tmp_path):
    (tmp_path / "data").mkdir(mode=0o700)
    for name in ("token_key.pem", "api_key_pepper"):
        (tmp_path / "data" / name).touch()
        line = program.refused("run", "--data", "data", "--grpc-port", "0")
        assert line.startswith(f"arbiter: data/{name} is empty; ")
        assert "and start again: " in line
        (tmp_path / "data" / name).unlink()


def test_a_damaged_stop_marker_is_refused_since_nobody_knows_whose_trading_it_stopped(program, tmp_path):
    (tmp_path / "data").mkdir(mode=0o700)
    marker = tmp_path / "data" / "stops_not_in_the_database.json"
    for body in ("", "junk", "{}", '[{"user":"ann"}]'):
        marker.write_text(body)
        line = program.refused("run", "--data", "data", "--grpc-port", "0", "--chat-port", "0")
        assert line.startswith("arbiter: data/stops_not_in_the_database.json names whose trading is stopped and ")
        assert "put back what it held" in line
    assert marker.exists()


def test_an_api_key_that_is_not_the_accounts(program, tmp_path):
    """As after a cure that was carried out by half: another pepper, and the API keys that were made with the first."""
    ports = ("--data", "data", "--grpc-port", "0", "--chat-port", "0", "--log-level", "ERROR")
    with program.start("run", *ports) as first:
        assert first.stdout.readline().startswith("Arbiter ")
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=SECONDS)
    (tmp_path / "data" / "api_key_pepper").unlink()
    for user in ("sandbox", "operator"):
        line = program.refused("run", *ports)
        assert line.startswith(f"arbiter: data/{user}_api_key is not the key of account {user}; remove it and start again")
        (tmp_path / "data" / f"{user}_api_key").unlink()
    with program.start("run", *ports) as again:
        assert again.stdout.readline().startswith("Arbiter ")
        again.send_signal(signal.SIGINT)
        again.communicate(timeout=SECONDS)
    assert again.returncode == 0


def test_a_corrupt_line_of_a_recording(program, tmp_path):
    (tmp_path / "odd.jsonl").write_text(f'{HEADER}\n{{"ms":0,"m":0,"bids":[["0.4"\n')
    line = program.refused("run", "--recording", "odd.jsonl", "--grpc-port", "0")
    assert line.startswith("arbiter: odd.jsonl line 2: ")
    assert line.endswith("; the format is described in docs/recordings.md")


def test_a_recording_that_is_not_there(program):
    line = program.refused("run", "--recording", "nothing.jsonl", "--grpc-port", "0")
    assert line == "arbiter: cannot read the recording nothing.jsonl: No such file or directory; check the path"


def test_a_recording_that_is_empty_or_has_no_events(program, tmp_path):
    for text, problem in (("", "is empty"), (f"{HEADER}\n", "has a header but no events")):
        (tmp_path / "odd.jsonl").write_text(text)
        line = program.refused("run", "--recording", "odd.jsonl", "--grpc-port", "0")
        assert line == f"arbiter: the recording odd.jsonl {problem}; the format is described in docs/recordings.md"


def test_the_help_names_the_command_as_a_person_types_it(program):
    with program.start("run", "--help") as process:
        out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, err) == (0, "")
    assert out.startswith("Usage: arbiter run ")
    assert "reserved for the health page; nothing listens there yet" in " ".join(out.split())


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (("run", "--nope"), "arbiter: no such option '--nope'; see arbiter run --help"),
        (("watch", "--srever"), "arbiter: no such option '--srever' (did you mean '--server'?); see arbiter watch --help"),
        (
            ("run", "--grpc-port", "abc"),
            "arbiter: invalid value for '--grpc-port': 'abc' is not a valid integer; see arbiter run --help",
        ),
        (("run", "--data"), "arbiter: option '--data' requires an argument; see arbiter run --help"),
        (("run", "extra"), "arbiter: got unexpected extra argument (extra); see arbiter run --help"),
        (("bot",), "arbiter: missing option '--server'; see arbiter bot --help"),
        (("rum",), "arbiter: no such command 'rum' (did you mean 'run'?); see arbiter --help"),
    ],
)
def test_what_is_typed_wrong_is_told_in_one_line(program, typed, line):
    assert program.refused(*typed) == line


def test_arbiter_alone_prints_its_help(program):
    with program.start() as process:
        out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, out) == (2, "")
    assert err.startswith("Usage: arbiter ")
    assert "\nCommands:\n" in err


def test_an_unknown_setting(program):
    line = program.refused("run", ARBITER_GRPC_PROT="1")
    assert line == "arbiter: unknown setting ARBITER_GRPC_PROT in the environment; did you mean ARBITER_GRPC_PORT?"


def test_a_mode_that_there_is_not(program):
    line = program.refused("run", ARBITER_MODE="live")
    assert line.startswith("arbiter: mode = 'live' (from ARBITER_MODE in the environment) is not valid: it must be sandbox, ")


def test_a_bad_value(program):
    line = program.refused("run", GRPC_PORT="many")
    assert line.startswith("arbiter: grpc_port = 'many' (from GRPC_PORT in the environment) is not valid: ")


def test_a_host_that_is_not_loopback(program):
    line = program.refused("run", "--grpc-port", "0", GRPC_HOST="0.0.0.0")
    assert line == (
        "arbiter: grpc_host = '0.0.0.0' is not this machine itself, and there is no TLS; "
        "set grpc_tls_cert and grpc_tls_key, or use localhost"
    )


@pytest.mark.parametrize("command", ["watch", "top"])
def test_watching_where_nothing_runs(program, command):
    line = program.refused(command)
    assert line == "arbiter: no Arbiter is running on the data folder var; start it with ./just run, or name its folder with --data"


@pytest.mark.parametrize("server", ["nonsense", "host:99999", ":50051", "host:", "host:x"])
def test_a_bot_for_a_server_that_cannot_be(program, server):
    line = program.refused("bot", "--server", server)
    assert line == f"arbiter: --server: {server!r} is not host:port; give the address that the server prints, such as 127.0.0.1:50051"


IN_CLEAR = (
    "arbiter: --server: 192.0.2.1:50051 is not this machine itself, and secrets would go there in clear; "
    "give --ca FILE, or https://192.0.2.1:50051 where a public authority signed its certificate"
)
TLS = {"--ca", "--cert", "--key"}


def test_a_bots_credential_never_leaves_the_machine_in_clear(program):
    assert program.refused("bot", "--server", "192.0.2.1:50051") == IN_CLEAR


def test_files_for_tls_that_cannot_be_used_are_told_before_anything_is_sent(program, tmp_path):
    line = program.refused("bot", "--server", "192.0.2.1:50051", "--ca", "nowhere.pem")
    assert line == "arbiter: cannot read nowhere.pem: No such file or directory; look at --ca, --cert and --key"
    (tmp_path / "empty.pem").write_text("")
    line = program.refused("bot", "--server", "192.0.2.1:50051", "--ca", "empty.pem")
    assert line == "arbiter: empty.pem has no certificate in PEM; look at --ca, --cert and --key"
    line = program.refused("bot", "--server", "https://192.0.2.1:50051", "--key", "empty.pem")
    assert line == "arbiter: there is a client key, but no certificate; look at --ca, --cert and --key"


def test_tls_that_is_half_set_is_told(program):
    line = program.refused("run", "--grpc-port", "0", ARBITER_GRPC_TLS_CERT="server.pem")
    assert line == "arbiter: TLS is half set: there is no grpc_tls_key; set grpc_tls_cert and grpc_tls_key; ./just certs makes such files"
    line = program.refused("run", "--grpc-port", "0", ARBITER_GRPC_TLS_CLIENT_CA="ca.pem")
    assert "TLS is half set: there is no grpc_tls_cert; " in line
    files = {"ARBITER_GRPC_TLS_CERT": "server.pem", "ARBITER_GRPC_TLS_KEY": "server.key"}
    line = program.refused("run", "--grpc-port", "0", **files)
    assert line == "arbiter: cannot read server.pem: No such file or directory; look at its permissions and at grpc_tls_cert"


@pytest.mark.parametrize("command", ["watch", "top"])
def test_the_key_of_the_data_folder_never_leaves_the_machine_in_clear(program, tmp_path, command):
    (tmp_path / "data").mkdir(mode=0o700)
    for name, body in (("running.json", '{"grpc":"127.0.0.1:1"}'), ("sandbox_api_key", "k"), ("operator_api_key", "k")):
        (tmp_path / "data" / name).write_text(body)
    line = program.refused(command, "--data", "data", "--server", "192.0.2.1:50051")
    assert line == IN_CLEAR


def test_a_bot_without_a_token_or_a_credential(program):
    token = {"TELEGRAM_BOT_TOKEN": f"123456:{'a' * 35}"}
    assert "telegram_bot_token is not set" in program.refused("bot", "--server", "localhost:50051")
    assert "there is no bot credential in " in program.refused("bot", "--server", "localhost:50051", **token)


def test_a_bot_api_without_a_token(program):
    line = program.refused("run", "--grpc-port", "0", "--telegram-api-url", "http://127.0.0.1:1")
    assert line.startswith("arbiter: telegram_api_url is set, but no telegram_bot_token; ")


def test_a_code_for_a_program_that_does_not_run(program):
    assert "no Arbiter is running on the data folder var" in program.refused("link-code")
    assert "'nonsense' is not host:port" in program.refused("link-code", "--server", "nonsense", "--api-key", "k")


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        ("bot", {"--config", "--data", "--telegram-api-url", "--log-level", "--server", "--credential", *TLS, "--help"}),
        ("watch", {"--config", "--data", "--server", "--seconds", *TLS, "--help"}),
        ("top", {"--config", "--data", "--server", "--once", *TLS, "--help"}),
        ("link-code", {"--config", "--data", "--server", "--api-key", *TLS, "--help"}),
    ],
)
def test_a_commands_help_lists_the_flags_that_mean_something_for_it(program, command, flags):
    with program.start(command, "--help") as process:
        out, _ = process.communicate(timeout=SECONDS)
    assert set(re.findall(r"--[a-z-]+", "\n".join(line[:28] for line in out.splitlines() if line.startswith("  -")))) == flags


def test_a_second_start_on_one_data_folder_and_a_clean_stop_of_the_first(program, tmp_path):
    with program.start("run", "--grpc-port", "0", "--http-port", "0", "--chat-port", "0") as first:
        try:
            assert first.stdout.readline().startswith("Arbiter ")
            line = program.refused("run", "--grpc-port", "0", "--http-port", "0", "--chat-port", "0")
            assert line == "arbiter: another Arbiter is running on the data folder var; stop it, or choose another folder with --data"
            first.send_signal(signal.SIGINT)
            _, err = first.communicate(timeout=SECONDS)
        finally:
            first.kill()
    assert first.returncode == 0, err
    assert "books invalid" not in err
    assert "Traceback" not in err
    assert not (tmp_path / "var" / "running.json").exists()
