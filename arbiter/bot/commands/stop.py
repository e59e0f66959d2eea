"""/stop CONFIRM ends all trading of the account; /resume CONFIRM lifts that. A stop is done however old the update is."""

from arbiter.bot import views
from arbiter.bot.commands.base import TOO_OLD, Call
from arbiter.bot.explain import explain
from arbiter.bot.views import Answer
from arbiter.rpc.client import ArbiterClient
from arbiter.rpc.client_errors import NotConnected, RateLimitError, UnavailableError, UncertainError

REASON = "stopped from Telegram"


async def stop(call: Call) -> Answer:
    """With CONFIRM: the kill switch. Without: what it does."""
    if not call.confirmed:
        return views.stop_warning()
    try:
        return views.stopped(await call.ask(lambda client: client.emergency_stop(REASON)))
    except (NotConnected, UnavailableError, UncertainError, RateLimitError) as error:
        return views.stop_failed(explain(error))


async def resume(call: Call) -> Answer:
    """With CONFIRM: trade again; not on an old update."""
    if not call.confirmed:
        return views.resume_warning(await call.ask(ArbiterClient.get_trading_state))
    if call.too_old:
        return TOO_OLD
    await call.ask(ArbiterClient.resume_trading)
    return views.resumed()
