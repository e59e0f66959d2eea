"""/stop CONFIRM ends all trading of the account; /resume CONFIRM lifts that. A stop is done however old the update is."""

from arbiter.bot import views
from arbiter.bot.commands.base import TOO_OLD, Call
from arbiter.bot.views import Answer
from arbiter.rpc.client import ArbiterClient

REASON = "stopped from Telegram"


async def stop(call: Call) -> Answer:
    """With CONFIRM: the kill switch. Without: what it does."""
    if not call.confirmed:
        return views.stop_warning()
    return views.stopped(await call.ask(lambda client: client.emergency_stop(REASON)))


async def resume(call: Call) -> Answer:
    """With CONFIRM: trade again; not on an old update."""
    if not call.confirmed:
        return views.resume_warning(await call.ask(ArbiterClient.get_trading_state))
    if call.too_old:
        return TOO_OLD
    await call.ask(ArbiterClient.resume_trading)
    return views.resumed()
