"""What a person reads when the program has started."""

from dataclasses import dataclass
from pathlib import Path

from arbiter import __version__
from arbiter.config import Settings
from arbiter.data_folder import API_KEY_FILE


@dataclass(frozen=True)
class Started:
    """How the program that just started can be reached. `chat` is empty where the bot speaks to the real Telegram."""

    folder: Path
    address: str
    user: str
    token: str
    chat: str
    link_code: str
    """Empty when the account is linked already."""


def greeting(settings: Settings, started: Started) -> str:
    """The lines that a newcomer needs, in the order in which they need them."""
    source = f"recording {settings.recording}" if settings.recording else f"generated markets, seed {settings.sandbox_seed}"
    lines = [
        f"Arbiter {__version__} is running in sandbox mode ({source}; data in {started.folder})",
        "",
        f"  gRPC     {started.address}",
        f"  account  {started.user}; its API key lies in {started.folder / API_KEY_FILE}",
        f"  token    {started.token}",
        "           (15 minutes; Authenticate with the API key gives new ones)",
        *_chat(started),
        "",
        "  Look     ./just watch                                  opportunities and positions, live",
        f"  Call     .venv/bin/python examples/place_order.py --server {started.address} --data {started.folder}",
        "  Stop     Ctrl-C",
    ]
    return "\n".join(lines)


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
