"""Every command and every button's action, in the order in which /help lists the commands."""

from arbiter.bot.commands import arb, copy, settings, start, status, stop
from arbiter.bot.commands.base import Call, Command, Handler
from arbiter.bot.views import Answer


async def help_(call: Call) -> Answer:
    """What there is."""
    return Answer("\n".join(f"/{each.name} — {each.description}" for each in COMMANDS))


COMMANDS: tuple[Command, ...] = (
    Command("start", "link this chat to your trading account with a one-time code", start.start, open=True),
    Command("help", "this list", help_, open=True),
    Command("home", "the dashboard", status.home),
    Command("status", "positions and P&amp;L at a glance", status.status),
    Command("positions", "all positions in detail", status.positions),
    Command("wallet", "cash by venue", status.wallet),
    Command("arb", "arbitrage: status, start, stop", arb.arb),
    Command("copy", "copy trading (not available yet)", copy.copy),
    Command("settings", "show and change settings", settings.settings),
    Command("stop", "stop ALL trading: /stop CONFIRM", stop.stop, urgent=True),
    Command("resume", "trade again after a stop: /resume CONFIRM", stop.resume),
    Command("unlink", "take this chat off your account: /unlink CONFIRM", start.unlink),
)
BY_NAME = {command.name: command for command in COMMANDS}

ACTIONS: dict[str, Handler] = {
    "home": status.home,
    "positions": status.positions_page,
    "wallet": status.wallet,
    "arb_start": arb.start_pressed,
    "arb_stop": arb.stop_pressed,
    "copy_list": copy.copy_list,
}
"""A button's action is one of these, or one of these, a colon and an argument."""
