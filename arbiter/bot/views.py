"""Data -> what a person reads: HTML as Telegram takes it, and buttons. Pure; every piece of data is escaped here."""

from collections.abc import Sequence
from typing import NamedTuple

from arbiter.bot.text import cut, escape
from arbiter.domain.money import format_dollars, format_micros
from arbiter.domain.trading_state import TradingState
from arbiter.rpc.client_types import Opportunity, Overview, PositionInfo, Profile, StopReport, TradingStateInfo, Wallet

PAGE = 5
"""Positions on one page."""
LONGEST_TITLE = 120
SHOWN_OPPORTUNITIES = 3
SHOWN_ORDERS = 10
NOT_STOPPED = "<b>Trading may NOT be stopped.</b>"
STOP_AGAIN = "Send /stop CONFIRM again until it is confirmed here."
INSISTING = "The bot repeats the stop by itself for two minutes and tells you here how it ends."
UNCONFIRMED_ORDERS = "<b>Whether your open orders were cancelled is not known.</b> No new one can leave. Send /stop CONFIRM again."
UNCONFIRMED_STRATEGIES = "<b>Whether your strategies were switched off is not known.</b> Send /stop CONFIRM again."


class Button(NamedTuple):
    """`action` is what the router knows; it is sealed for its user when it is sent."""

    label: str
    action: str


Keyboard = tuple[tuple[Button, ...], ...]


class Answer(NamedTuple):
    """`text` is HTML. `toast` is plain text, shown for a moment to who pressed a button."""

    text: str
    keyboard: Keyboard = ()
    toast: str = ""


HOME = Button("« Home", "home")


def say(plain: str) -> Answer:
    """One line of plain text."""
    return Answer(escape(plain))


# -- amounts --


def cents(micros: int) -> str:
    """A price or an edge a contract: 530000 -> "53¢", exactly."""
    return f"{format_micros(micros * 100, 0)}¢"


def signed(micros: int) -> str:
    """A gain or loss: "+$1.20", "-$1.20", "$0.00"."""
    text = format_dollars(micros)
    return f"+{text}" if micros > 0 and text.strip("$0.,") else text


def _size(micros: int) -> str:
    return format_micros(micros, 0)


# -- pages --


def status(overview: Overview, venues_down: Sequence[str] = ()) -> Answer:
    """Positions and P&L at a glance, and the venues whose market data is away."""
    profile, wallet, held = overview.profile, overview.wallet, overview.positions
    worth = "none" if not held else f"{len(held)}, worth {format_dollars(wallet.positions_exit)} now"
    lines = [
        f"<b>{escape(profile.name)}</b>, tier {escape(profile.tier)}{' — suspended' if profile.suspended else ''}",
        _trading(overview.trading),
        f"Arbitrage: {_on(overview.strategies.get('arbitrage', False))}{_withdrawn(overview.withdrawn.get('arbitrage', ''))}",
        f"Cash: {format_dollars(wallet.cash)}",
        f"Positions: {worth}",
        f"P&amp;L: {signed(wallet.realised_pnl)} realised, {signed(wallet.unrealised_pnl)} unrealised",
    ]
    if wallet.unmarked:
        lines.append(f"{_count(wallet.unmarked, 'position')} without a usable book, in none of these figures")
    lines += [f"Market data of {escape(venue)}: <b>away</b>" for venue in venues_down]
    return Answer("\n".join(lines))


def home(overview: Overview, venues_down: Sequence[str] = ()) -> Answer:
    """The dashboard."""
    running = overview.strategies.get("arbitrage", False)
    arb = Button("Stop Arb", "arb_stop") if running else Button("Start Arb", "arb_start")
    keyboard = (
        (Button("Positions", "positions"), Button("Wallet", "wallet")),
        (arb, Button("Copy Trades", "copy_list")),
        (Button("Refresh", "home"),),
    )
    return Answer(status(overview, venues_down).text, keyboard)


def positions(held: Sequence[PositionInfo], page: int) -> Answer:
    """One page, from 0; a page that is not there (any more) shows the last one."""
    if not held:
        return Answer("You have no open positions.", ((HOME,),))
    last = (len(held) - 1) // PAGE
    page = max(0, min(page, last))
    lines = [f"<b>Positions</b> ({len(held)})" + (f", page {page + 1} of {last + 1}" if last else "")]
    for each in held[page * PAGE : (page + 1) * PAGE]:
        lines += ["", *_position(each)]
    turns = [Button("‹ Back", f"positions:{page - 1}")] if page else []
    turns += [Button("More ›", f"positions:{page + 1}")] if page < last else []
    return Answer("\n".join(lines), (tuple(turns), (HOME,)) if turns else ((HOME,),))


def _position(p: PositionInfo) -> list[str]:
    head = f"<b>{escape(cut(p.title or p.outcome.market, LONGEST_TITLE))}</b> — {escape(cut(p.label, 40))}"
    if p.mark_price is None or p.unrealised_pnl is None or p.exit_value is None:
        now = f"no usable book now; realised {signed(p.realised_pnl)}"
    else:
        now = f"at {cents(p.mark_price)}, worth {format_dollars(p.exit_value)}; P&amp;L {signed(p.pnl)}"
    return [head, f"{_size(p.size)} on {escape(p.outcome.venue)}, cost {format_dollars(p.cost)}", now]


def wallet(info: Wallet) -> Answer:
    """Cash by venue, and what the positions are worth."""
    lines = ["<b>Wallet</b>"]
    for pool in info.pools:
        reserved = f" ({format_dollars(pool.reserved)} of it reserved by open orders)" if pool.reserved else ""
        lines.append(f"{escape(pool.venue)}: {format_dollars(pool.cash)}{reserved}")
    lines += [
        f"Cash: {format_dollars(info.cash)}",
        f"Positions: {format_dollars(info.positions_exit)}",
        f"P&amp;L: {signed(info.realised_pnl)} realised, {signed(info.unrealised_pnl)} unrealised",
    ]
    if info.unmarked:
        lines.append(f"{_count(info.unmarked, 'position')} without a usable book, in none of these figures")
    return Answer("\n".join(lines), ((HOME,),))


# -- arbitrage --

ARB_USAGE = (
    "/arb status — whether it runs, and what is open",
    "/arb start — switch arbitrage on",
    "/arb stop — switch arbitrage off",
)


def arb_usage(typed: str) -> Answer:
    """What was not understood, and the three."""
    return Answer("\n".join([f"/arb does not know {typed}. It knows:", *ARB_USAGE]))


def arb_status(running: bool, state: TradingStateInfo, open_now: Sequence[Opportunity] | None, min_edge: int) -> Answer:
    """Whether it runs; what is open now (None: not known)."""
    lines = [f"Arbitrage: {_on(running)}", _trading(state), f"Least edge: {cents(min_edge)} a contract"]
    if open_now is None:
        lines.append("Open opportunities: not available just now")
    elif not open_now:
        lines.append("Open opportunities: none")
    else:
        lines.append(f"Open opportunities: {len(open_now)}")
        best = sorted(open_now, key=lambda each: -each.net)[:SHOWN_OPPORTUNITIES]
        lines += [f"• {escape(cut(o.title, LONGEST_TITLE))}: {cents(o.net_per_contract)} × {_size(o.size)} = {signed(o.net)}" for o in best]
    button = Button("Stop Arb", "arb_stop") if running else Button("Start Arb", "arb_start")
    return Answer("\n".join(lines), ((button,), (HOME,)))


def arb_switched(running: bool, state: TradingStateInfo) -> Answer:
    """What is in force after a switch."""
    text = toast = f"Arbitrage is {_on(running)}."
    if running and state.state is not TradingState.ACTIVE:
        until = "an operator resumes it" if state.by_operator else "/resume CONFIRM"
        text += f"\n{_trading(state)} Nothing is traded until {until}."
        toast += f" But trading is {_word(state)}: nothing is traded until {until}."
    return Answer(text, ((Button("Stop Arb", "arb_stop") if running else Button("Start Arb", "arb_start"), HOME),), toast)


# -- the kill switch --


def stop_warning() -> Answer:
    """What /stop would do, and how to do it."""
    return Answer(
        "\n".join(
            [
                "<b>This stops ALL trading</b> of your account: no new orders, open orders cancelled, strategies off. Positions stay.",
                "Send /stop CONFIRM to do it. It holds until you send /resume CONFIRM.",
            ]
        )
    )


def stopped(report: StopReport, *, insisting: bool = False) -> Answer:
    """What an emergency stop came to. `insisting`: it is being repeated, since a part of it is not confirmed."""
    switched = "Strategies switched off: " + (", ".join(map(escape, report.disabled_strategies)) or "none were on")
    lines = [
        "<b>All trading is stopped.</b>" if report.state is TradingState.HALTED else f"Trading is {report.state.value}.",
        UNCONFIRMED_ORDERS if report.orders_unconfirmed else f"Cancelled: {_count(report.cancelled, 'open order')}",
        UNCONFIRMED_STRATEGIES if report.strategies_unconfirmed else switched,
    ]
    if report.uncertain:
        named = ", ".join(f"<code>{escape(each)}</code>" for each in report.uncertain[:SHOWN_ORDERS])
        more = f" and {len(report.uncertain) - SHOWN_ORDERS} more" if len(report.uncertain) > SHOWN_ORDERS else ""
        lines.append(f"<b>Not confirmed as cancelled yet:</b> {named}{more}")
    lines.append(
        "It is written down and holds over a restart."
        if report.durable
        else "<b>It holds now, but is not written down yet;</b> that is tried again."
    )
    lines += [INSISTING] if insisting else []
    lines.append("Send /resume CONFIRM to trade again.")
    return Answer("\n".join(lines))


def stop_failed(problem: str, *, insisting: bool) -> Answer:
    """The stop did not get through, which nobody may overlook. `insisting`: it is being repeated."""
    return Answer(f"{NOT_STOPPED} {escape(problem)}\n{INSISTING if insisting else STOP_AGAIN}")


def stopped_late(report: StopReport) -> Answer:
    """A repeated stop came through."""
    return Answer(f"The stop that could not be confirmed before came through.\n{stopped(report).text}")


def stop_given_up(problem: str) -> Answer:
    """A stop was repeated in vain."""
    return Answer(f"{NOT_STOPPED} The stop was repeated for two minutes in vain. {escape(problem)}\n{STOP_AGAIN}")


def nothing_stopped() -> Answer:
    """There is no stop that could be lifted."""
    return Answer("Trading is not stopped: there is nothing to resume, and nothing was changed.")


def resume_warning(state: TradingStateInfo) -> Answer:
    """What /resume would do."""
    if state.state is TradingState.ACTIVE:
        return nothing_stopped()
    if not state.by_operator:
        return Answer(f"{_trading(state)}\nSend /resume CONFIRM to trade again. Strategies stay off until you start them.")
    own = "You stopped yours too: /resume CONFIRM lifts that." if state.own is TradingState.HALTED else "Nothing else of yours is stopped."
    return Answer(f"{_trading(state)}\nIt goes on when an operator resumes it. {own}")


def resumed(*, by_operator: bool = False) -> Answer:
    """Trading goes on, or would if an operator had not stopped it for everybody."""
    if by_operator:
        return Answer("Your own stop is lifted. Trading stays stopped for everybody until an operator resumes it. Strategies stay off.")
    return Answer("Trading goes on. Strategies stay off: /arb start switches arbitrage on.")


# -- settings --


def settings(profile: Profile) -> Answer:
    """What is set, and how to change it."""
    return Answer(
        "\n".join(
            [
                "<b>Settings</b>",
                f"min_edge: {cents(profile.min_edge)} — the least net profit a contract that is worth showing or taking",
                "",
                "Change it with /settings min_edge 0.5 (cents a contract, 0 to 100).",
                f"Tier {escape(profile.tier)}: {profile.requests_per_second} requests/s, {profile.orders_per_minute} orders/min.",
            ]
        )
    )


# -- small --


def _trading(state: TradingStateInfo) -> str:
    if state.state is TradingState.ACTIVE:
        return "Trading: active"
    whose = " for everybody by an operator" if state.by_operator else ""
    return f"Trading: <b>{_word(state)}</b>{whose}" + (f" ({escape(cut(state.reason, LONGEST_TITLE))})" if state.reason else "")


def _word(state: TradingStateInfo) -> str:
    return "STOPPED" if state.state is TradingState.HALTED else "reducing only"


def _on(running: bool) -> str:
    return "on" if running else "off"


def _withdrawn(reason: str) -> str:
    """Why it was switched off for the user, where it was."""
    return {"": "", "tier": " (switched off: not in your tier)", "suspended": " (switched off when the account was suspended)"}.get(
        reason, " (switched off by Arbiter)"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def seconds(ms: int) -> str:
    """A wait for people: 400 -> "1 second", 90000 -> "2 minutes"."""
    whole = -(-ms // 1000)
    return _count(whole, "second") if whole < 90 else _count(-(-whole // 60), "minute")
