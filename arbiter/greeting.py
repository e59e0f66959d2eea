"""What a person reads when the program has started."""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from arbiter import __version__
from arbiter.config import Settings
from arbiter.data_folder import API_KEY_FILE

ROOT = Path(__file__).resolve().parents[1]
"""The checkout, where `./just` and the examples lie."""


@dataclass(frozen=True)
class Started:
    """How the program that just started can be reached. `chat` is empty where the bot speaks to the real Telegram.

    `address` is for this machine's own commands, `public` for everybody, where that is another.
    """

    folder: Path
    address: str
    user: str
    token: str
    chat: str
    link_code: str
    """Empty when the account is linked already."""
    bot_token_file: Path
    """Where the token of the sandbox's bot lies."""
    public: str = ""


def greeting(settings: Settings, started: Started) -> str:
    """The lines that a newcomer needs, in the order in which they need them."""
    source = f"recording {settings.recording}" if settings.recording else f"generated markets, seed {settings.sandbox_seed}"
    look, call = _commands(started)
    lines = [
        f"Arbiter {__version__} is running in sandbox mode ({source}; data in {started.folder})",
        "",
        f"  gRPC     {started.public or started.address}",
        f"  account  {started.user}; its API key lies in {started.folder / API_KEY_FILE}",
        f"  token    {started.token}",
        "           (15 minutes; Authenticate with the API key gives new ones)",
        *_chat(started),
        *([] if settings.bot else _no_bot(started)),
        "",
        f"  Look     {look}",
        "           (opportunities and positions, live)",
        f"  Call     {call}",
        "  Stop     Ctrl-C",
    ]
    return "\n".join(lines)


def _commands(started: Started) -> tuple[str, str]:
    """The two next commands as they can be typed in the folder where the program was started. Always with the data folder:
    another terminal need not have the environment that named it."""
    here = Path.cwd()
    python, example = _path(Path(sys.executable), here), _path(ROOT / "examples" / "place_order.py", here)
    data = f"--data {shlex.quote(str(started.folder))}"
    watch = "./just watch" if here == ROOT else f"{python} -m arbiter watch"
    return f"{watch} {data}", f"{python} {example} --server {shlex.quote(started.address)} {data}"


def _path(path: Path, here: Path) -> str:
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


def _chat(started: Started) -> list[str]:
    if started.chat and started.link_code:
        return [
            f"  chat     {started.chat}/?start={started.link_code}",
            f"           (opens the bot in the browser and links it; the code {started.link_code} works once, for 10 minutes)",
        ]
    if started.chat:
        return [f"  chat     {started.chat}"]
    if started.link_code:
        return [f"  chat     send your bot: /start {started.link_code}", "           (works once, for 10 minutes)"]
    return ["  chat     your Telegram bot"]


def _no_bot(started: Started) -> list[str]:
    """How to start the bot that this program does not run."""
    token, api = (
        (f'"$(cat {shlex.quote(str(started.bot_token_file))})"', f" --telegram-api-url {started.chat}") if started.chat else ("...", "")
    )
    command = f"{_path(Path(sys.executable), Path.cwd())} -m arbiter bot --server {shlex.quote(started.address)}{api}"
    return [
        "           nobody answers there (--no-bot) until you start a bot:",
        f"           TELEGRAM_BOT_TOKEN={token} {command} --data {shlex.quote(str(started.folder))}",
    ]
