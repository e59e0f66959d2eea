"""Views and text: pure functions, with data that is full of markup."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter.bot import text, views
from arbiter.bot.explain import explain
from arbiter.bot.faults import NoAnswer, NotLinked, redacted, where
from arbiter.domain.ids import MarketId, OutcomeId, OutcomeKey, VenueId
from arbiter.domain.money import ONE, Micros
from arbiter.domain.trading_state import TradingState
from arbiter.rpc import client_errors as errors
from arbiter.rpc.client_types import LegInfo, Opportunity, Overview, PoolInfo, PositionInfo, Profile, StopReport, TradingStateInfo, Wallet

NASTY = '<b>*bold*</b> _it_ [x](http://y) `code` & "quotes" \n/stop CONFIRM \u202e \x00 😀'
ACTIVE = TradingStateInfo(TradingState.ACTIVE, 0, "")
HALTED = TradingStateInfo(TradingState.HALTED, 1, NASTY)
OURS = re.compile(r"</?(?:b|code)>|&(?:amp|lt|gt);")
anything = st.text(max_size=200) | st.just(NASTY)
micros = st.integers(-(10**15), 10**15).map(Micros)


def position(title: str = NASTY, label: str = "Yes", mark: int | None = 530_000) -> PositionInfo:
    key = OutcomeKey(VenueId("kalshi"), MarketId("M"), OutcomeId("yes"))
    known = (Micros(mark), Micros(1_200_000), Micros(5_000_000)) if mark is not None else (None, None, None)
    return PositionInfo(key, title, label, Micros(10 * ONE), Micros(4_000_000), Micros(0), Micros(0), *known)


def profile(name: str = NASTY) -> Profile:
    return Profile("u", name, "pro", "trader", False, Micros(1_000), 60, 60, None)


def wallet(venue: str = NASTY, amount: int = 5_000_000) -> Wallet:
    pool = PoolInfo(venue, Micros(amount), Micros(1_000_000), Micros(amount - 1_000_000))
    return Wallet((pool,), Micros(amount), Micros(0), Micros(-amount), Micros(amount), 1)


def opportunity(title: str, net: int = 10_000) -> Opportunity:
    legs: tuple[LegInfo, ...] = ()
    return Opportunity(title, "opened", "p", title, legs, Micros(ONE), Micros(net), Micros(net), (1, 1), 1, "")


def is_plain(markup: str) -> bool:
    """Whether nothing but our own tags and entities is markup, and each tag is closed in its line."""
    rest = OURS.sub("", markup)
    balanced = all(line.count(f"<{tag}>") == line.count(f"</{tag}>") for line in markup.split("\n") for tag in ("b", "code"))
    return "<" not in rest and ">" not in rest and "&" not in rest and balanced


# -- escaping --


@given(st.text())
def test_escaped_data_comes_out_as_it_was_on_one_line(data: str) -> None:
    escaped = text.escape(data)
    assert "\n" not in escaped
    assert "<" not in escaped
    assert html.unescape(escaped).split() == "".join(c if c.isprintable() else " " for c in data).split()


@given(anything, micros)
def test_no_data_of_any_view_is_read_as_markup(data: str, amount: int) -> None:
    held = [position(data, data)] * 7
    stopped = StopReport(TradingState.HALTED, False, 2, (data, data), (data,), False, False)
    state = TradingStateInfo(TradingState.HALTED, 1, data)
    answers = [
        views.home(Overview(profile(data), state, {"arbitrage": True}, wallet(data, amount), tuple(held))),
        views.positions(held, 0),
        views.positions([position(data, mark=None)], 0),
        views.wallet(wallet(data, amount)),
        views.arb_usage(text.shown(data)),
        views.arb_status(True, state, [opportunity(data)] * 5, 1),
        views.stopped(stopped),
        views.resume_warning(state),
        views.stop_failed(data, insisting=True),
        views.stop_failed(data, insisting=False),
        views.stopped_late(stopped),
        views.stop_given_up(data),
        views.settings(profile(data)),
        views.say(data),
    ]
    for answer in answers:
        assert is_plain(answer.text), answer.text
        assert answer.text.strip() or not data.strip() or not data.isprintable()


# -- splitting --

lines = st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n<>&"), max_size=60), max_size=30)


@given(lines, st.integers(10, 80))
def test_split_keeps_all_lines_and_the_limit(given_lines: list[str], limit: int) -> None:
    whole = "\n".join(given_lines)
    pieces = text.split(whole, limit)
    assert all(0 < text.length(piece) <= limit for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(whole.split())


@given(st.lists(anything, min_size=1, max_size=8), st.integers(200, 600))
def test_pieces_are_valid_each_by_itself(names: list[str], limit: int) -> None:
    answer = views.positions([position(name) for name in names], 0)
    for piece in text.split(answer.text, limit):
        assert is_plain(piece), piece


@given(st.text(alphabet="<>&ab😀", min_size=1, max_size=300), st.integers(8, 40))
def test_a_line_that_is_too_long_is_cut_without_breaking_an_entity(data: str, limit: int) -> None:
    pieces = text.split(f"<b>{html.escape(data, quote=False)}</b>", limit)
    assert all(text.length(piece) <= limit and is_plain(piece) for piece in pieces)
    if len(pieces) > 1:
        assert html.unescape("".join(pieces)) == data


def test_a_long_answer_is_split_between_lines() -> None:
    whole = "\n".join(f"line {number} " + "x" * 90 for number in range(200))
    pieces = text.split(whole)
    assert len(pieces) > 4
    assert "\n".join(pieces) == whole
    assert all(text.length(piece) <= text.LIMIT for piece in pieces)


def test_nothing_to_say_is_no_message() -> None:
    assert text.split("") == []
    assert text.split("\n\n  \n") == []


def test_what_a_user_typed_is_repeated_shortly() -> None:
    assert len(text.shown("<" * 10_000)) <= 4 * text.SHOWN + len("<code></code>")
    assert text.shown("a" * 41).endswith("…</code>")


def test_length_counts_as_telegram_does() -> None:
    assert text.length("a😀") == 3


# -- amounts --


@pytest.mark.parametrize(
    ("amount", "expected"), [(530_000, "53¢"), (535_000, "53.5¢"), (1, "0.0001¢"), (0, "0¢"), (-10_000, "-1¢"), (1_000_000, "100¢")]
)
def test_prices_are_cents_exactly(amount: int, expected: str) -> None:
    assert views.cents(amount) == expected


@pytest.mark.parametrize(("amount", "expected"), [(1_200_000, "+$1.20"), (-1_200_000, "-$1.20"), (0, "$0.00"), (1, "$0.00"), (-1, "$0.00")])
def test_gains_have_a_sign(amount: int, expected: str) -> None:
    assert views.signed(amount) == expected


@pytest.mark.parametrize(("ms", "expected"), [(1, "1 second"), (1000, "1 second"), (1001, "2 seconds"), (600_000, "10 minutes")])
def test_waits_are_rounded_up(ms: int, expected: str) -> None:
    assert views.seconds(ms) == expected


# -- pages --


def test_positions_are_paged_and_a_page_beyond_is_the_last() -> None:
    held = [position(f"Market {number}") for number in range(12)]
    first, last = views.positions(held, 0), views.positions(held, 99)
    assert "page 1 of 3" in first.text
    assert "Market 4" in first.text
    assert "Market 5" not in first.text
    assert [button.action for row in first.keyboard for button in row] == ["positions:1", "home"]
    assert "page 3 of 3" in last.text
    assert [button.action for row in last.keyboard for button in row] == ["positions:1", "home"]
    middle = views.positions(held, 1)
    assert [button.label for button in middle.keyboard[0]] == ["‹ Back", "More ›"]
    assert [button.action for row in middle.keyboard for button in row] == ["positions:0", "positions:2", "home"]
    assert views.positions(held, -5) == first


def test_a_position_without_a_usable_book_says_so() -> None:
    assert "no usable book" in views.positions([position(mark=None)], 0).text


def test_a_stop_report_names_what_is_open() -> None:
    open_orders = tuple(f"order{number}" for number in range(12))
    report = views.stopped(StopReport(TradingState.HALTED, False, 1, open_orders, ("arbitrage",), False, False))
    assert "1 open order\n" in report.text
    assert "<code>order9</code> and 2 more" in report.text
    assert "not written down yet" in report.text
    done = views.stopped(StopReport(TradingState.HALTED, True, 0, (), (), False, False))
    assert "Not confirmed" not in done.text
    assert "0 open orders" in done.text
    assert "none were on" in done.text


def test_a_stop_of_which_a_part_is_unconfirmed_says_so_and_that_trading_is_stopped_all_the_same() -> None:
    report = views.stopped(StopReport(TradingState.HALTED, True, 0, (), (), True, True)).text
    assert "All trading is stopped." in report
    assert "open orders were cancelled is not known" in report
    assert "strategies were switched off is not known" in report
    assert "Cancelled: " not in report
    assert "none were on" not in report


def test_the_dashboards_button_follows_the_state() -> None:
    labels = [
        [button.label for row in views.home(Overview(profile(), ACTIVE, {"arbitrage": running}, wallet(), ())).keyboard for button in row]
        for running in (True, False)
    ]
    assert "Stop Arb" in labels[0]
    assert "Start Arb" not in labels[0]
    assert "Start Arb" in labels[1]


def test_opportunities_that_cannot_be_had_do_not_hide_the_rest() -> None:
    assert "not available just now" in views.arb_status(True, ACTIVE, None, 1).text


def test_a_stop_is_shown_everywhere() -> None:
    for answer in (
        views.status(Overview(profile(), HALTED, {}, wallet(), ())),
        views.arb_status(True, HALTED, [], 1),
        views.arb_switched(True, HALTED),
        views.resume_warning(HALTED),
    ):
        assert "STOPPED" in answer.text


# -- what went wrong --


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (NotLinked(), "/start"),
        (errors.RateLimitError("slow", "LIMIT", 1500), "try again shortly, in 2 seconds"),
        (errors.RefusedError("halted; ResumeTrading lifts it", "TRADING_HALTED"), "Trading is stopped: /resume CONFIRM first."),
        (errors.RefusedError("halted", "TRADING_HALTED_FOR_ALL"), "Trading is stopped for everybody by an operator"),
        (NoAnswer(), "did not answer in time. Nothing was changed"),
        (errors.NotConnected("x"), "cannot be reached"),
        (errors.UnavailableError("starting"), "cannot answer just now: starting"),
        (errors.UncertainError("x"), "not known"),
        (errors.NotPermittedError("it is in: pro"), "Not allowed: it is in: pro"),
        (errors.InvalidRequestError("price: no"), "That is not right: price: no"),
        (errors.RefusedError("halted"), "Refused: halted"),
        (errors.NotFoundError("no such"), "Not found: no such"),
        (errors.AuthenticationError("x"), "operator"),
        (errors.ArbiterClientError("odd"), "could not do that: odd"),
    ],
)
def test_each_error_says_what_to_do(error: errors.ArbiterClientError, expected: str) -> None:
    assert expected in explain(error)


@pytest.mark.parametrize(
    "what", ["too many wrong codes; try again in 600.0 s", "too many wrong codes; try again in 12 s", "too many wrong codes"]
)
def test_when_to_come_back_is_said_once(what: str) -> None:
    assert (
        explain(errors.RateLimitError(what, "LIMIT", 600_000))
        == "Too much at once (too many wrong codes): try again shortly, in 10 minutes."
    )


def test_the_toast_of_a_start_while_trading_is_stopped_says_so() -> None:
    assert views.arb_switched(True, HALTED).toast == "Arbitrage is on. But trading is STOPPED: nothing is traded until /resume CONFIRM."
    assert views.arb_switched(True, ACTIVE).toast == "Arbitrage is on."


def test_what_is_logged_of_an_error_holds_no_secret() -> None:
    def fail() -> None:
        code = "ABCDEFGH12345678"
        raise ValueError(f"cannot read {code}")

    with pytest.raises(ValueError, match="cannot") as caught:
        fail()
    assert redacted(caught.value, "ABCDEFGH12345678", "", "a") == "ValueError: cannot read ***"
    assert "ABCDEFGH12345678" not in where(caught.value).replace('code = "ABCDEFGH12345678"', "")


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("tier", "Arbitrage: off (switched off: not in your tier)"),
        ("suspended", "Arbitrage: off (switched off when the account was suspended)"),
        ("new", "Arbitrage: off (switched off by Arbiter)"),
    ],
)
def test_a_status_says_why_arbitrage_was_switched_off_for_the_user(reason, text):
    overview = Overview(profile(), ACTIVE, {"arbitrage": False}, wallet(), (), {"arbitrage": reason})
    assert text in views.status(overview).text.splitlines()


def test_a_status_names_the_venues_whose_market_data_is_away_and_no_others():
    overview = Overview(profile(), ACTIVE, {}, wallet(), ())
    assert "Market data" not in views.status(overview).text
    for answer in (views.status(overview, ["kal<shi"]), views.home(overview, ["kal<shi"])):
        assert answer.text.splitlines()[-1] == "Market data of kal&lt;shi: <b>away</b>"
