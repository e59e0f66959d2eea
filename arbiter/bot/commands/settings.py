"""/settings shows and changes what a user may set."""

from arbiter.bot import views
from arbiter.bot.commands.base import Call
from arbiter.bot.text import shown
from arbiter.bot.views import Answer, cents
from arbiter.domain.money import MICRO, Micros, parse_micros
from arbiter.rpc.client import ArbiterClient

USAGE = "Usage: /settings min_edge 0.5 — cents a contract, from 0 to 100, at most four decimals"


async def settings(call: Call) -> Answer:
    """Without argument: what is set. `min_edge CENTS`: change it."""
    words = call.words
    if not words:
        return views.settings(await call.ask(ArbiterClient.get_profile))
    if words[0].lower() != "min_edge":
        return Answer(f"There is no setting {shown(words[0])}. {USAGE}")
    if len(words) != 2:
        return Answer(f"min_edge needs one amount. {USAGE}")
    try:
        edge = parse_cents(words[1])
    except ValueError:
        return Answer(f"{shown(words[1])} is not an amount of cents. {USAGE}")
    in_force = await call.act(lambda client: client.update_settings(min_edge=edge))
    return Answer(f"min_edge is {cents(in_force)} a contract.")


def parse_cents(text: str) -> Micros:
    """Cents a contract ("0.5", "1¢") to micros. Raises ValueError for anything but 0 to 100 in steps of 0.0001."""
    hundredfold = parse_micros(text.removesuffix("¢"))
    micros, rest = divmod(hundredfold, 100)
    if rest or not 0 <= micros <= MICRO:
        raise ValueError(f"not 0 to 100 cents: {text[:40]!r}")
    return Micros(micros)
