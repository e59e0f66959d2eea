"""/status, /home: everything at a glance; /positions and /wallet: one thing in detail."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

import trio

from arbiter.bot import views
from arbiter.bot.commands.base import Call
from arbiter.bot.text import shown
from arbiter.bot.views import Answer, say
from arbiter.rpc.client import ArbiterClient
from arbiter.rpc.client_errors import ArbiterClientError
from arbiter.rpc.client_types import PositionInfo, Profile, TradingStateInfo, Wallet


class _Glance(NamedTuple):
    profile: Profile
    state: TradingStateInfo
    strategies: Mapping[str, bool]
    wallet: Wallet
    held: Sequence[PositionInfo]


async def _glance(client: ArbiterClient) -> _Glance:
    """Five calls at once: they share packets both ways, where one after the other would wait five times."""
    found: dict[str, Any] = {}
    failed: list[ArbiterClientError] = []

    async def find(name: str, call: Callable[[], Awaitable[Any]]) -> None:
        try:
            found[name] = await call()
        except ArbiterClientError as error:
            failed.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(find, "profile", client.get_profile)
        nursery.start_soon(find, "state", client.get_trading_state)
        nursery.start_soon(find, "strategies", client.list_strategies)
        nursery.start_soon(find, "wallet", client.get_wallet)
        nursery.start_soon(find, "held", client.get_positions)
    if failed:
        raise failed[0]
    return _Glance(**found)


async def status(call: Call) -> Answer:
    """Positions and P&L at a glance."""
    return views.status(*await call.ask(_glance))


async def home(call: Call) -> Answer:
    """The dashboard."""
    return views.home(*await call.ask(_glance))


async def positions(call: Call) -> Answer:
    """The list, or the page that is asked for (from 1)."""
    words = call.words or ["1"]
    if len(words) > 1 or not (words[0].isascii() and words[0].isdecimal() and len(words[0]) < 6):
        return say(f"“{shown(call.arguments)}” is not a page. Usage: /positions [page]")
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
