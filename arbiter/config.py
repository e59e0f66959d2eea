"""Settings: defaults < TOML file < `.env` < environment < flags. Read once at the start, validated, frozen.

In the environment and in `.env` a setting is `ARBITER_<NAME>`; the names that operators know (`GRPC_PORT` and so
on) work too, and `ARBITER_*` wins over them. An unknown setting is an error that names the nearest known one. A value
that does not fit is an error too where a later source overrides it: it is wrong, and would bite when that one goes.
"""

import difflib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin
from urllib.parse import urlsplit

import msgspec

from arbiter.errors import ConfigError

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Connections = Annotated[int, msgspec.Meta(ge=1, le=100_000)]
Streams = Annotated[int, msgspec.Meta(ge=1, le=10_000)]
Markets = Annotated[int, msgspec.Meta(ge=1, le=50_000)]
Days = Annotated[int, msgspec.Meta(ge=0, le=3_650)]
Seconds = Annotated[int, msgspec.Meta(ge=5, le=86_400)]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]

SHORT_NAMES = {
    "TELEGRAM_BOT_TOKEN": "telegram_bot_token",
    "TELEGRAM_ALLOWED_USERS": "telegram_allowed_users",
    "TELEGRAM_API_URL": "telegram_api_url",
    "GRPC_HOST": "grpc_host",
    "GRPC_PORT": "grpc_port",
    "LOG_LEVEL": "log_level",
}
PREFIX = "ARBITER_"
CONFIG_FILE = "arbiter.toml"
ENV_FILE = ".env"
LARGEST_FILE = 256 * 1024
QUOTES = ("'", '"')
QUOTED = re.compile(r"""(?P<quote>["'])(?P<value>.*?)(?P=quote)\s*(#.*)?""")
"""A value of `.env` in quotes, and a comment behind them."""
COMMENT = re.compile(r"\s#.*")
"""A comment behind a value without quotes: `a#b` is none."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that can be set. Ports: 0 takes any free one."""

    mode: Literal["sandbox"] = "sandbox"
    data: str = "./var"
    grpc_host: str = "localhost"
    grpc_port: Port = 50051
    grpc_tls_cert: str = ""
    grpc_tls_key: str = ""
    grpc_tls_client_ca: str = ""
    grpc_proxies: str = ""
    grpc_reflection: Literal["auto", "on", "off"] = "auto"
    grpc_connections: Connections = 1_000
    grpc_connections_per_address: Connections = 500
    grpc_streams_per_connection: Streams = 1_000
    grpc_idle_seconds: Seconds = 900
    grpc_keepalive_seconds: Seconds = 60
    grpc_ca: str = ""
    grpc_client_cert: str = ""
    grpc_client_key: str = ""
    chat_port: Port = 8081
    http_port: Port = 8080
    log_level: LogLevel = "INFO"
    markets_limit: Markets = 5_000
    markets_close_within_days: Days = 0
    polymarket_tags: str = ""
    kalshi_series: str = ""
    kalshi_member: Literal["broker", "direct"] = "broker"
    kalshi_tickers: bool = True
    kalshi_key_id: str = ""
    kalshi_key_file: str = ""
    recording: str = ""
    recording_speed: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1
    sandbox_seed: int = 1
    sandbox_script: str = ""
    telegram_bot_token: str = ""
    telegram_allowed_users: str = ""
    telegram_api_url: str = ""
    bot: bool = True

    def __repr__(self) -> str:
        """Without what is secret."""
        shown = {name: "***" if name in SECRET and value else value for name, value in msgspec.structs.asdict(self).items()}
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


SECRET = {"telegram_bot_token"}
KNOWN: frozenset[str] = frozenset(Settings.__struct_fields__)


class Given(NamedTuple):
    """A value that somebody gave a setting, and where."""

    name: str
    value: Any
    origin: str


def allowed_users(settings: Settings) -> frozenset[int]:
    """The Telegram ids of TELEGRAM_ALLOWED_USERS."""
    return frozenset(map(int, listed(settings.telegram_allowed_users)))


def load(flags: Mapping[str, Any], environ: Mapping[str, str], folder: Path) -> Settings:
    """The settings in force. `flags` holds those that were given; files are looked for in `folder`.

    Raises ConfigError naming the setting, where it came from, and what it must be.
    """
    config_file = flags.get("config") or environ.get(PREFIX + "CONFIG")
    given = [
        *_from_toml(Path(config_file) if config_file else folder / CONFIG_FILE, required=config_file is not None),
        *_from_environment(_parse_env_file(folder / ENV_FILE), ENV_FILE),
        *_from_environment(environ, "the environment"),
        *(Given(name, value, f"--{name.replace('_', '-')}") for name, value in flags.items() if value is not None and name != "config"),
    ]
    return Settings(**_checked(given))


def _checked(given: Iterable[Given]) -> dict[str, Any]:
    """Every value checked, the last of each setting kept."""
    types = {field.name: field.type for field in msgspec.structs.fields(Settings)}
    checked: dict[str, Any] = {}
    for name, value, origin in given:
        folded = value.upper() if name == "log_level" and isinstance(value, str) else value
        try:
            checked[name] = msgspec.convert(folded, types[name], strict=False)
        except msgspec.ValidationError as error:
            shown = "***" if name in SECRET else repr(value)
            problem = _one_of(types[name]) or error
            raise ConfigError(f"{name} = {shown} (from {origin}) is not valid: {problem}", f"correct it in {origin}") from None
        if name in CHECKS:
            CHECKS[name](checked[name], origin)
    return checked


def _one_of(type_: Any) -> str:
    """What can be given where a setting has a few values only."""
    if get_origin(type_) is not Literal:
        return ""
    *others, last = get_args(type_)
    return f"it must be {', '.join(others)} or {last}" if others else f"it must be {last}, the only one there is yet"


def _require_bot_token(token: str, origin: str) -> None:
    """The form that BotFather gives. The value is never shown."""
    if token and not re.fullmatch(r"\d{1,20}:[A-Za-z0-9_-]{30,100}", token, re.ASCII):
        raise ConfigError(
            f"telegram_bot_token (from {origin}) has not the form of a bot's token (123456:letters)", "copy it whole from BotFather"
        )


def _require_api_url(url: str, origin: str) -> None:
    """http or https, and a host; a path is allowed."""
    if not url:
        return
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and not (parts.query or parts.fragment)
    except ValueError:
        fits = False
    if not fits:
        raise ConfigError(
            f"telegram_api_url = {url!r} (from {origin}) is not the address of a Bot API",
            "give one such as http://127.0.0.1:8081, or leave it away for Telegram's own",
        )


def _require_ids(text: str, origin: str) -> None:
    for each in listed(text):
        if not (each.isascii() and each.isdigit() and len(each) <= 16):
            raise ConfigError(
                f"telegram_allowed_users (from {origin}) has {each!r}, which is no Telegram id", "list numbers, with commas between"
            )


def _require_series(text: str, origin: str) -> None:
    for each in listed(text):
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", each, re.ASCII):
            raise ConfigError(f"kalshi_series (from {origin}) has {each!r}, which is no series' ticker", "list them, with commas between")


def _require_tags(text: str, origin: str) -> None:
    """Numbers alone: whether the venue knows a tag by its name is not documented, and what it passed over would follow everything."""
    for each in listed(text):
        if not re.fullmatch(r"[0-9]{1,16}", each):
            raise ConfigError(f"polymarket_tags (from {origin}) has {each!r}, which is no tag's number", "Gamma's /tags lists them by name")


def listed(text: str) -> list[str]:
    """The parts of a list, which has commas between them."""
    return [part.strip() for part in text.replace(";", ",").split(",") if part.strip()]


CHECKS: dict[str, Callable[[str, str], None]] = {
    "telegram_bot_token": _require_bot_token,
    "telegram_api_url": _require_api_url,
    "telegram_allowed_users": _require_ids,
    "polymarket_tags": _require_tags,
    "kalshi_series": _require_series,
}
"""What a type cannot say of a value; each is called with it and its origin, and raises ConfigError."""


def _from_toml(path: Path, *, required: bool) -> list[Given]:
    if not required and not path.exists():
        return []
    try:
        values = tomllib.loads(_read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}", "correct that line") from None
    for name in values:
        _require_known(name, str(path))
    return [Given(name, value, str(path)) for name, value in values.items()]


def _from_environment(values: Mapping[str, str], origin: str) -> list[Given]:
    """A short name beside the full one is not looked at: it may be another program's, and this is how one gets round it."""
    found: dict[str, Given] = {}
    for short, name in SHORT_NAMES.items():
        if short in values:
            found[name] = Given(name, values[short], f"{short} in {origin}")
    for variable, value in values.items():
        name = variable.removeprefix(PREFIX).lower()
        if variable.startswith(PREFIX) and name != "config":
            _require_known(name, origin, shown=variable)
            found[name] = Given(name, value, f"{variable} in {origin}")
    return list(found.values())


def _require_known(name: str, origin: str, shown: str = "") -> None:
    if name not in KNOWN:
        near = difflib.get_close_matches(name, KNOWN, n=1, cutoff=0.5)
        known = [f"{PREFIX}{each.upper()}" if shown else each for each in near or sorted(KNOWN)]
        cure = f"did you mean {known[0]}?" if near else f"remove it; known settings: {', '.join(known)}"
        raise ConfigError(f"unknown setting {shown or name} in {origin}", cure)


def _parse_env_file(path: Path) -> dict[str, str]:
    """`NAME=value` lines, `export` and quotes allowed, `#` comments, also behind a value."""
    if not path.exists():
        return {}
    values: dict[str, str] = {}
    for number, line in enumerate(_read_text(path).splitlines(), 1):
        text = line.strip().removeprefix("export ").strip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if not equals or not name.strip().isidentifier():
            raise ConfigError(f"{path} line {number} is not NAME=value", "correct or remove that line")
        if value.strip()[:1] in QUOTES:
            quoted = QUOTED.fullmatch(value.strip())
            if quoted is None:
                raise ConfigError(f"{path} line {number} has a quote that is not closed", "close it, or leave the quotes away")
            values[name.strip()] = quoted["value"]
        else:
            values[name.strip()] = COMMENT.sub("", value).strip()
    return values


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", "check the path and its permissions") from None
    if len(raw) > LARGEST_FILE:
        raise ConfigError(f"{path} is larger than {LARGEST_FILE // 1024} KiB", "this is not a settings file")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text", "save it as UTF-8") from None
