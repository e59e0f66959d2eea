"""/stop CONFIRM ends all trading of the account; /resume CONFIRM lifts that. A stop is done however old the update is."""

from arbiter.bot import views
from arbiter.bot.commands.base import OVERTAKEN, TOO_OLD, Call
from arbiter.bot.explain import explain
from arbiter.bot.faults import NotLinked
from arbiter.bot.stops import emergency_stop, is_complete
from arbiter.bot.views import Answer
from arbiter.domain.trading_state import TradingState
from arbiter.rpc.client import ArbiterClient
from arbiter.rpc.client_errors import ArbiterClientError


async def stop(call: Call) -> Answer:
    """With CONFIRM: the kill switch. Without: what it does."""
    if not call.confirmed:
        return views.stop_warning()
    try:
        report = await call.act(emergency_stop)
    except NotLinked:
        raise
    except ArbiterClientError as error:
        return views.stop_failed(explain(error), insisting=call.stops.insist(call.user))
    if not is_complete(report):
        return views.stopped(report, insisting=call.stops.insist(call.user))
    call.stops.relent(call.user)
    return views.stopped(report)


async def resume(call: Call) -> Answer:
    """With CONFIRM: trade again; not on an old update, and not where a stop came after it."""
    if not call.confirmed:
        return views.resume_warning(await call.ask(ArbiterClient.get_trading_state))
    if call.overtaken():
        return OVERTAKEN
    if call.too_old:
        return TOO_OLD
    call.stops.relent(call.user)
    before = await call.ask(ArbiterClient.get_trading_state)
    if before.state is TradingState.ACTIVE:
        return views.nothing_stopped()
    if before.by_operator and before.own is TradingState.ACTIVE:
        return views.resume_warning(before)
    await call.act(ArbiterClient.resume_trading)
    if call.overtaken():  # the stop came while this was under way, and may have been lifted by it
        await call.act(emergency_stop)
        return OVERTAKEN
    return views.resumed(by_operator=before.by_operator)
