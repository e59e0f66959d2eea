"""Settings: defaults < TOML file < `.env` < environment < flags. Read once at the start, validated, frozen.

In the environment and in `.env` a setting is `ARBITER_<NAME>`; the names that operators know (`GRPC_PORT` and so
on) work too, and `ARBITER_*` wins over them. An unknown setting is an error that names the nearest known one.
"""

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

from arbiter.errors import ConfigError

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
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


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that can be set. Ports: 0 takes any free one."""

    mode: Literal["sandbox"] = "sandbox"
    data: str = "./var"
    grpc_host: str = "localhost"
    grpc_port: Port = 50051
    chat_port: Port = 8081
    http_port: Port = 8080
    log_level: LogLevel = "INFO"
    recording: str = ""
    recording_speed: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1
    sandbox_seed: int = 1
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


def allowed_users(settings: Settings) -> frozenset[int]:
    """The Telegram ids of TELEGRAM_ALLOWED_USERS. Raises ConfigError for what is no id."""
    ids = [part.strip() for part in settings.telegram_allowed_users.replace(";", ",").split(",") if part.strip()]
    for each in ids:
        if not (each.isascii() and each.isdigit() and len(each) <= 16):
            raise ConfigError(f"telegram_allowed_users has {each!r}, which is no Telegram id", "list numbers, with commas between")
    return frozenset(map(int, ids))


def load(flags: Mapping[str, Any], environ: Mapping[str, str], folder: Path) -> Settings:
    """The settings in force. `flags` holds those that were given; files are looked for in `folder`.

    Raises ConfigError naming the setting, where it came from, and what it must be.
    """
    config_file = flags.get("config") or environ.get(PREFIX + "CONFIG")
    layers = [
        _from_toml(Path(config_file) if config_file else folder / CONFIG_FILE, required=config_file is not None),
        _from_environment(_parse_env_file(folder / ENV_FILE), ENV_FILE),
        _from_environment(environ, "the environment"),
        {name: (value, f"--{name.replace('_', '-')}") for name, value in flags.items() if value is not None and name != "config"},
    ]
    merged: dict[str, tuple[Any, str]] = {}
    for layer in layers:
        merged.update(layer)
    settings = _convert(merged)
    _require_bot_token(settings.telegram_bot_token)
    _require_api_url(settings.telegram_api_url)
    allowed_users(settings)
    return settings


def _require_bot_token(token: str) -> None:
    """The form that BotFather gives. The value is never shown."""
    if token and not re.fullmatch(r"\d{1,20}:[A-Za-z0-9_-]{30,100}", token, re.ASCII):
        raise ConfigError("telegram_bot_token has not the form of a bot's token (123456:letters)", "copy it whole from BotFather")


def _require_api_url(url: str) -> None:
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
            f"telegram_api_url = {url!r} is not the address of a Bot API",
            "give one such as http://127.0.0.1:8081, or leave it away for Telegram's own",
        )


def _convert(merged: Mapping[str, tuple[Any, str]]) -> Settings:
    checked: dict[str, Any] = {}
    types = {field.name: field.type for field in msgspec.structs.fields(Settings)}
    for name, (value, origin) in merged.items():
        given = value.upper() if name == "log_level" and isinstance(value, str) else value
        try:
            checked[name] = msgspec.convert(given, types[name], strict=False)
        except msgspec.ValidationError as error:
            shown = "***" if name in SECRET else repr(value)
            raise ConfigError(f"{name} = {shown} (from {origin}) is not valid: {error}", f"correct it in {origin}") from None
    return Settings(**checked)


def _from_toml(path: Path, *, required: bool) -> dict[str, tuple[Any, str]]:
    if not required and not path.exists():
        return {}
    try:
        values = tomllib.loads(_read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}", "correct that line") from None
    for name in values:
        _require_known(name, str(path))
    return {name: (value, str(path)) for name, value in values.items()}


def _from_environment(values: Mapping[str, str], origin: str) -> dict[str, tuple[Any, str]]:
    found: dict[str, tuple[Any, str]] = {}
    for short, name in SHORT_NAMES.items():
        if short in values:
            found[name] = (values[short], f"{short} in {origin}")
    for variable, value in values.items():
        name = variable.removeprefix(PREFIX).lower()
        if variable.startswith(PREFIX) and name != "config":
            _require_known(name, origin, shown=variable)
            found[name] = (value, f"{variable} in {origin}")
    return found


def _require_known(name: str, origin: str, shown: str = "") -> None:
    if name not in KNOWN:
        near = difflib.get_close_matches(name, KNOWN, n=1, cutoff=0.5)
        known = [f"{PREFIX}{each.upper()}" if shown else each for each in near or sorted(KNOWN)]
        cure = f"did you mean {known[0]}?" if near else f"remove it; known settings: {', '.join(known)}"
        raise ConfigError(f"unknown setting {shown or name} in {origin}", cure)


def _parse_env_file(path: Path) -> dict[str, str]:
    """`NAME=value` lines, `export` and quotes allowed, `#` comments."""
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
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        values[name.strip()] = value
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
