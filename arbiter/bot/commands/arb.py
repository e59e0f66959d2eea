"""/arb: arbitrage on, off, and how it stands."""

from collections.abc import Sequence

import trio

from arbiter.bot import views
from arbiter.bot.commands import status
from arbiter.bot.commands.base import OVERTAKEN, TOO_OLD, Call
from arbiter.bot.text import shown
from arbiter.bot.views import Answer
from arbiter.rpc.client import ArbiterClient
from arbiter.rpc.client_errors import ArbiterClientError
from arbiter.rpc.client_types import Opportunity, TradingStateInfo

LISTEN_SECONDS = 0.15
"""The stream tells what is open at once and then waits for news; after this long what came is what is open."""


async def arb(call: Call) -> Answer:
    """`status` (also without argument), `start`, `stop`; anything else lists the three."""
    match call.arguments.strip().lower():
        case "" | "status":
            return await arb_status(call)
        case "start":
            return await arb_start(call)
        case "stop":
            return await arb_stop(call)
        case _:
            return views.arb_usage(shown(call.arguments))


async def arb_status(call: Call) -> Answer:
    """How it stands."""

    async def look(client: ArbiterClient) -> Answer:
        strategies = await client.list_strategies()
        state = await client.get_trading_state()
        profile = await client.get_profile()
        return views.arb_status(strategies.get("arbitrage", False), state, await _open_now(client), profile.min_edge)

    return await call.ask(look)


async def arb_start(call: Call) -> Answer:
    """Switch on; not on an old update, and not where a stop came after it."""
    if call.overtaken():
        return OVERTAKEN
    return TOO_OLD if call.too_old else await _switch(call, enabled=True)


async def arb_stop(call: Call) -> Answer:
    """Switch off, always."""
    return await _switch(call, enabled=False)


async def start_pressed(call: Call) -> Answer:
    """The dashboard's button: switch on, and show the dashboard as it is then."""
    return await _dashboard_after(call, await arb_start(call))


async def stop_pressed(call: Call) -> Answer:
    """The dashboard's button: switch off, and show the dashboard as it is then."""
    return await _dashboard_after(call, await arb_stop(call))


async def _dashboard_after(call: Call, answer: Answer) -> Answer:
    if answer is TOO_OLD or answer is OVERTAKEN:
        return answer
    try:
        return (await status.home(call))._replace(toast=answer.toast)
    except ArbiterClientError:
        return answer  # the switch was made, which must not look like a failure


async def _switch(call: Call, *, enabled: bool) -> Answer:
    async def switch(client: ArbiterClient) -> tuple[bool, TradingStateInfo]:
        return await client.set_arb_enabled(enabled), await client.get_trading_state()

    return views.arb_switched(*await call.act(switch))


async def _open_now(client: ArbiterClient) -> Sequence[Opportunity] | None:
    """What is open; None where the stream is refused, which must not hide the rest."""
    found: dict[str, Opportunity] = {}
    try:
        with trio.move_on_after(LISTEN_SECONDS):
            async with client.stream_opportunities() as updates:
                async for each in updates:
                    if each.state == "closed":
                        found.pop(each.id, None)
                    else:
                        found[each.id] = each
    except ArbiterClientError:
        return None
    return list(found.values())
