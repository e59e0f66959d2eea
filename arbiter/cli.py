"""The commands a person types. Errors of ours are one line on standard error; exit status 2 for what the person can mend."""

import re
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import click
from click.exceptions import NoArgsIsHelpError

from arbiter import __version__
from arbiter.config import Settings, load
from arbiter.errors import ConfigError

if TYPE_CHECKING:
    from arbiter.rpc.client_tls import ClientTls

F = TypeVar("F", bound=Callable[..., Any])

UNFIT = 2
"""Exit status: the settings or the machine are unfit, and the message says what to mend."""
GAVE_UP = 1
"""Exit status: the program ran and could not go on."""
INTERRUPTED = 130
"""Exit status of a command that does not serve, left with Ctrl-C: what a shell gives it."""


OPTIONS = {
    "config": click.option("--config", metavar="FILE", help="settings file (default: arbiter.toml where there is one)"),
    "data": click.option("--data", metavar="DIR", help="data folder (default ./var)"),
    "grpc_port": click.option("--grpc-port", type=int, help="port of the gRPC server (default 50051; 0 takes a free one)"),
    "http_port": click.option("--http-port", type=int, help="reserved for the health page; nothing listens there yet"),
    "chat_port": click.option("--chat-port", type=int, help="port of the chat page (default 8081)"),
    "recording": click.option("--recording", metavar="FILE", help="replay this recording instead of generated markets"),
    "recording_speed": click.option("--recording-speed", type=int, help="how many times faster than it was recorded (default 1)"),
    "sandbox_script": click.option("--sandbox-script", metavar="FILE", help="faults that the sandbox venues have, by time"),
    "bot": click.option("--bot/--no-bot", default=None, help="run the Telegram bot in this program, or leave it to `arbiter bot`"),
    "telegram_api_url": click.option("--telegram-api-url", metavar="URL", help="Bot API to use (default: Telegram's own)"),
    "log_level": click.option("--log-level", help="DEBUG, INFO, WARNING or ERROR (default INFO)"),
    "grpc_ca": click.option("--ca", "grpc_ca", metavar="FILE", help="with --server: TLS, trusting the authorities in this PEM file"),
    "grpc_client_cert": click.option("--cert", "grpc_client_cert", metavar="FILE", help="with --server: this client's certificate (PEM)"),
    "grpc_client_key": click.option("--key", "grpc_client_key", metavar="FILE", help="with --server: that certificate's key (PEM)"),
}
CLIENT_TLS = ("grpc_ca", "grpc_client_cert", "grpc_client_key")
"""Only where a command reaches another server than the one on its data folder."""
"""The settings that are also flags; each command takes those that mean something for it."""


def settings_options(*names: str) -> Callable[[F], F]:
    """These settings as flags, in the order of `OPTIONS`; none: all that a server has."""

    def add(function: F) -> F:
        for name in reversed(OPTIONS):
            if name in names or (not names and name not in CLIENT_TLS):
                function = OPTIONS[name](function)
        return function

    return add


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="arbiter")
def cli() -> None:
    """Arbiter: a trading control plane for prediction markets."""


@cli.command()
@settings_options()
def run(**flags: Any) -> None:
    """Start everything against the sandbox and serve until stopped."""
    _serve(_settings(flags))


@cli.command()
@settings_options("config", "data", *CLIENT_TLS)
@click.option("--server", metavar="HOST:PORT", help="another server than the one that runs on the data folder")
@click.option("--seconds", type=float, help="stop by itself after this long")
def watch(server: str | None, seconds: float | None, **flags: Any) -> None:
    """Show opportunities and positions live in the terminal."""
    settings = _settings(flags)
    import trio

    from arbiter.reach import Reached, find_key, find_running
    from arbiter.watch import watch

    reached = Reached(server, find_key(settings)) if server else find_running(settings)
    tls = _tls(server, settings)
    trio.run(watch, reached.address, reached.api_key, seconds, tls)


@cli.command()
@settings_options("config", "data", *CLIENT_TLS)
@click.option("--server", metavar="HOST:PORT", help="another server than the one that runs on the data folder")
@click.option("--once", is_flag=True, help="print one table, of what was done within a second, and end")
def top(server: str | None, once: bool, **flags: Any) -> None:
    """Show every actor of the running program live: what it does, what waits for it, what went wrong."""
    settings = _settings(flags)
    import trio

    from arbiter.data_folder import OPERATOR_KEY_FILE
    from arbiter.reach import Reached, find_key, find_running
    from arbiter.top import top

    reached = Reached(server, find_key(settings, OPERATOR_KEY_FILE)) if server else find_running(settings, OPERATOR_KEY_FILE)
    tls = _tls(server, settings)
    trio.run(partial(top, reached.address, reached.api_key, once=once, tls=tls))


@cli.command("link-code")
@settings_options("config", "data", *CLIENT_TLS)
@click.option("--server", metavar="HOST:PORT", help="another server than the one that runs on the data folder")
@click.option("--api-key", metavar="KEY", help="another account than the one whose key lies in the data folder")
def link_code(server: str | None, api_key: str | None, **flags: Any) -> None:
    """Print a code that links a Telegram chat to the account."""
    settings = _settings(flags)
    import trio

    from arbiter.reach import Reached, find_key, find_running, make_link_code

    reached = Reached(server, api_key or find_key(settings)) if server else find_running(settings)
    tls = _tls(server, settings)
    code = trio.run(make_link_code, reached.address, api_key or reached.api_key, tls)
    click.echo(f"Send this to the bot: /start {code}\nIt works once, for 10 minutes.")


@cli.command()
@click.argument("kind")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
def convert(kind: str, source: Path, target: Path) -> None:
    """Write TARGET, a recording, from what others recorded.

    KIND is worldcup, fed-dec2025, weather, kalshi-ws or polymarket-ws, which give books, or kalshi-frames or polymarket-frames;
    docs/recordings.md tells what each reads.
    """
    from arbiter.sandbox.convert import convert

    convert(kind, source, target)


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@settings_options("config", "recording", "recording_speed", "log_level")
@click.option("--venues", type=click.Choice(["sandbox", "production", "demo"]), default="sandbox", help="which venues (default sandbox)")
@click.option("--only", type=click.Choice(["polymarket", "kalshi"]), help="one of the two")
@click.option("--for", "lasts", metavar="TIME", help="end by itself after this long: 90s, 30m, 1h")
@click.option("--max-mib", type=click.IntRange(1), help="begin another file after so many MiB")
@click.option("--each", metavar="TIME", help="begin another file after this long")
def record(file: Path, venues: Any, only: str | None, lasts: str | None, max_mib: int | None, each: str | None, **flags: Any) -> None:
    """Record into FILE what the venues send, until stopped.

    It starts the sandbox's venues and records those, or it records the real ones. Production and demo need kalshi_key_id and
    kalshi_key_file. `arbiter replay` plays the file.
    """
    settings = _settings(flags)
    import math

    import trio

    from arbiter.recorder import Wanted, record
    from arbiter.start import configure_logging

    configure_logging(settings.log_level)
    file_bytes = math.inf if max_mib is None else max_mib * 1024 * 1024
    trio.run(record, settings, Wanted(file, venues, only or "", _seconds(lasts, "--for"), file_bytes, _seconds(each, "--each")))


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--speed", default="max", metavar="max|N", help="max: in lockstep (default). N: start the program and play N times as fast")
@click.option("--out", type=click.Path(path_type=Path), help="with max: where the opportunities go (default: standard output)")
@click.option("--pairs", type=click.Path(path_type=Path), help="with max: a file of pairs, instead of the recording's own")
@settings_options("config", "data", "grpc_port", "chat_port", "bot", "telegram_api_url", "log_level")
def replay(file: Path, speed: str, out: Path | None, pairs: Path | None, **flags: Any) -> None:
    """Play FILE, a recording of frames or of books, through the real connectors and actors.

    With --speed max each step of each opportunity is a line of JSON on standard output, the same at every replay; amounts are
    millionths of a dollar or share. With a number the whole program runs, to be looked at with `arbiter watch` or in the chat.
    """
    if speed != "max":
        if not (speed.isascii() and speed.isdigit()):
            raise click.BadParameter(f"{speed!r} is neither max nor a whole number", param_hint="--speed")
        if out is not None or pairs is not None:
            raise click.UsageError("--out and --pairs go with --speed max only")
        _serve(_settings({**flags, "recording": str(file), "recording_speed": speed}))
        return
    settings = _settings({**flags, "log_level": flags["log_level"] or "ERROR"})
    from arbiter.replayer import read_pairs, replay
    from arbiter.start import configure_logging

    configure_logging(settings.log_level)
    own = None if pairs is None else read_pairs(pairs)
    with _output(out) as target:
        summary = replay(file, target.write, own)
        target.flush()
    for line in summary.lines():
        click.echo(line, err=True)


@cli.command()
@settings_options("config", "data", "telegram_api_url", "log_level", *CLIENT_TLS)
@click.option("--server", required=True, metavar="HOST:PORT", help="the gRPC server to steer")
@click.option("--credential", default="", metavar="FILE", help="the server's bot credential (default: bot_credential in the data folder)")
def bot(server: str, credential: str, **flags: Any) -> None:
    """Run the Telegram bridge as a service of its own.

    It needs TELEGRAM_BOT_TOKEN, and keeps how far it has read in the data folder.
    """
    settings = _settings(flags)
    import trio

    from arbiter.start import configure_logging, run_bot

    configure_logging(settings.log_level)
    trio.run(run_bot, settings, server, credential)


@cli.command()
@click.argument("folder", default="var/certs", type=click.Path(path_type=Path))
@click.option("--name", "names", multiple=True, metavar="NAME", help="another host name or address of the server; may be repeated")
def certs(folder: Path, names: tuple[str, ...]) -> None:
    """Make certificates for TLS of one's own in FOLDER (default var/certs).

    An authority, a server's certificate for this machine and the given names, and a client's. What is there stays as it is.
    """
    from arbiter.certs import make_certs, what_next

    click.echo(what_next(make_certs(folder, names)))


@cli.command()
def version() -> None:
    """Print the version."""
    click.echo(__version__)


def _tls(server: str | None, settings: Settings) -> "ClientTls":
    """How to reach that server; the program on the data folder is reached without TLS. Raises ConfigError."""
    from arbiter.reach import require_address, tls_of
    from arbiter.rpc.client_tls import ClientTls

    if not server:
        return ClientTls()
    tls = tls_of(settings)
    require_address(server, tls)
    return tls


def _serve(settings: Settings) -> None:
    import trio

    from arbiter.start import configure_logging, run

    configure_logging(settings.log_level)
    trio.run(run, settings)


def _output(path: Path | None) -> AbstractContextManager[BinaryIO]:
    """Standard output, or that file. Raises ConfigError."""
    if path is None:
        return nullcontext(sys.stdout.buffer)
    try:
        return path.open("wb")
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}", "check the path") from None


def _seconds(text: str | None, option: str) -> float:
    """`90s`, `30m`, `1h`, or plain seconds; none: for ever."""
    if text is None:
        return float("inf")
    match = re.fullmatch(r"(\d{1,6})([smhd]?)", text, re.ASCII)
    if match is None or int(match[1]) == 0:
        raise click.BadParameter(f"{text!r} is not a time such as 90s, 30m or 1h", param_hint=option)
    return int(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}[match[2]]


def _settings(flags: dict[str, Any]) -> Settings:
    import os

    return load(flags, os.environ, Path.cwd())


def main() -> None:
    """Run a command; translate what a person can mend into one line."""
    try:
        cli.main(prog_name="arbiter", standalone_mode=False)
    except NoArgsIsHelpError as error:
        error.show()  # `arbiter` alone: the help
        sys.exit(UNFIT)
    except click.ClickException as error:
        click.echo(f"arbiter: {_misused(error)}", err=True)
        sys.exit(UNFIT)
    except click.Abort:
        sys.exit(INTERRUPTED)
    except BaseException as error:
        told = _told(error)
        if told is None:
            raise
        click.echo(f"arbiter: {told[0]}", err=True)
        sys.exit(told[1])


def _misused(error: click.ClickException) -> str:
    """What was typed wrong, in one line: click's words, which are sentences, as a part of ours."""
    message = " ".join(error.format_message().split()).removesuffix(".")
    message = re.sub(r"\. \(?Did you mean (.+)\?\)?$", r" (did you mean \1?)", message)
    typed = [name for name in sys.argv[1:2] if name in cli.commands]
    return f"{message[:1].lower()}{message[1:]}; see {' '.join(['arbiter', *typed, '--help'])}"


def _told(error: BaseException) -> tuple[str, int] | None:
    """What to say of an error, and the exit status; None for a bug, whose traceback is wanted."""
    if isinstance(error, KeyboardInterrupt) or (isinstance(error, BaseExceptionGroup) and error.subgroup(KeyboardInterrupt)):
        return "interrupted", INTERRUPTED
    found = _find(error)
    if isinstance(found, ConfigError):
        return str(found), UNFIT
    if found is not None:
        return str(found), GAVE_UP
    return None


def _find(error: BaseException | None) -> Exception | None:
    """Our own error inside groups and causes: a ConfigError wherever it stands, else one that is classed as ours."""
    from arbiter.rpc.client_errors import ArbiterClientError
    from arbiter.runtime import SupervisorExhausted

    ours: Exception | None = None
    todo = [error]
    while todo:
        each = todo.pop()
        if isinstance(each, ConfigError):
            return each
        if isinstance(each, (SupervisorExhausted, ArbiterClientError)):
            ours = ours or each
        if isinstance(each, BaseExceptionGroup):
            todo += each.exceptions
        if each is not None:
            todo.append(each.__cause__)
    return ours
