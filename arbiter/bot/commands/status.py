"""/status, /home: everything at a glance; /positions and /wallet: one thing in detail."""

from arbiter.bot import views
from arbiter.bot.commands.base import Call
from arbiter.bot.text import shown
from arbiter.bot.views import Answer
from arbiter.rpc.client import ArbiterClient, ArbiterClientError


async def status(call: Call) -> Answer:
    """Positions and P&L at a glance."""
    return views.status(await call.ask(ArbiterClient.get_overview), await _venues_down(call))


async def home(call: Call) -> Answer:
    """The dashboard."""
    return views.home(await call.ask(ArbiterClient.get_overview), await _venues_down(call))


async def _venues_down(call: Call) -> list[str]:
    """Those whose market data is away. Where that cannot be found out nothing is said: the rest of the answer is what was asked for."""
    try:
        return [feed.venue for feed in await call.ask(ArbiterClient.list_feeds) if not feed.connected]
    except ArbiterClientError:
        return []


async def positions(call: Call) -> Answer:
    """The list, or the page that is asked for (from 1)."""
    words = call.words or ["1"]
    if len(words) > 1 or not (words[0].isascii() and words[0].isdecimal() and len(words[0]) < 6):
        return Answer(f"{shown(call.arguments)} is not a page. Usage: /positions [page]")
    return await _page(call, int(words[0]) - 1)


async def positions_page(call: Call) -> Answer:
    """A button: the page stands in the action (from 0)."""
    return await _page(call, int(call.arguments or "0"))


async def _page(call: Call, page: int) -> Answer:
    held = await call.ask(ArbiterClient.get_positions)
    return views.positions(held, page)


async def wallet(call: Call) -> Answer:
    """Cash by venue."""
    return views.wallet(await call.ask(ArbiterClient.get_wallet))
