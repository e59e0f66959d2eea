"""The screen of `arbiter watch`: what it shows, in a terminal of any width."""

import io
import socket

import msgspec
import pytest
from rich.console import Console

from arbiter.domain.ids import KALSHI, POLYMARKET, MarketId, OutcomeId, OutcomeKey
from arbiter.rpc.client import NotConnected, Opportunity, PositionInfo
from arbiter.rpc.client_market_types import FeedInfo
from arbiter.rpc.client_types import LegInfo
from arbiter.watch import KEPT_CLOSED, Screen, watch

MICRO = 1_000_000
YES = OutcomeKey(POLYMARKET, MarketId("0x1"), OutcomeId("1"))
NO = OutcomeKey(KALSHI, MarketId("KX"), OutcomeId("no"))


def opportunity(number=1, **changes):
    legs = tuple(LegInfo(key, "title", label, 460_000, 10 * MICRO, 4_600_000, 0) for key, label in ((YES, "Yes"), (NO, "No")))
    first = Opportunity(f"o{number}", "opened", "pair", f"Proposition {number}", legs, 10 * MICRO, 1_234_567, 123_456, (1, 2), 2_500, "")
    return msgspec.structs.replace(first, **changes)


def position(**changes):
    first = PositionInfo(YES, "Will it rain?", "Yes", 10 * MICRO, 4_600_000, -10_000, 20_000, 450_000, -100_000, 4_400_000)
    return msgspec.structs.replace(first, **changes)


def drawn(screen, width=200):
    out = io.StringIO()
    Console(file=out, width=width).print(screen.render(width))
    return out.getvalue()


def hold(screen, position):
    screen.positions = {position.outcome: position}


@pytest.fixture
def screen():
    return Screen("127.0.0.1:50051")


def test_an_empty_screen_says_so(screen):
    text = drawn(screen)
    assert "Arbiter at 127.0.0.1:50051" in text
    assert "Opportunities: 0 open" in text
    assert "none now" in text
    assert "no open positions" in text


def test_an_open_opportunity_is_shown_with_both_legs(screen):
    screen.take_opportunity(opportunity())
    text = drawn(screen)
    for part in ("Opportunities: 1 open", "Proposition 1", "Yes 0.46 polymarket + No 0.46 kalshi", "1.23", "0.123"):
        assert part in text


def test_how_the_venues_are_stands_above_while_arbiter_answers(screen):
    screen.feeds = [FeedInfo("kalshi", False, "no DNS", 1, 1, 2, 0, 0, 0, None, "", (), {})]
    assert "kalshi: down, 0 of 2 books fresh; no DNS" in drawn(screen)
    screen.away = True
    assert "kalshi" not in drawn(screen)


OPEN, HELD, ENDED = "Opportunities: ", "Positions: ", "Opportunities that ended"
HEADERS = {
    80: {OPEN: "Market Size Net Each", HELD: "Market Outcome Venue Size Unrealised", ENDED: "Market Size Net Lasted"},
    110: {
        OPEN: "Market Buy Size Net Each",
        HELD: "Market Outcome Venue Size Cost Mark Unrealised Realised Fees",
        ENDED: "Market Buy Size Net Lasted",
    },
}


@pytest.mark.parametrize(("width", "like"), [(80, 80), (100, 80), (109, 80), (110, 110), (140, 110), (200, 110)])
def test_no_header_and_no_number_is_cut_at_the_usual_widths(screen, width, like):
    long = "Will Mexico win the match against England at the World Cup of 2026 in the round of the last sixteen teams, or draw? " * 2
    dear = {"size": 123_456_780_000, "net": 12_345_670_000}
    screen.take_opportunity(opportunity(1, title=long, **dear))
    screen.take_opportunity(opportunity(2, title=long, state="closed", duration_ms=1_234_500, **dear))
    hold(screen, position(title=long, label=long, size=123_456_780_000, cost=98_765_430_000, unrealised_pnl=-12_345_670_000))
    lines = drawn(screen, width).splitlines()
    for caption, header in HEADERS[like].items():
        (at,) = [number for number, line in enumerate(lines) if line.startswith(caption)]
        assert " ".join(lines[at + 1].split()) == header
        row = lines[at + 3]
        assert row.startswith("Will Mexico win the m")
        assert "\N{HORIZONTAL ELLIPSIS}" in row
        assert "123456.78" in row
        assert ("-$12,345.67" if caption == HELD else "$12,345.67") in row
    assert drawn(screen, width).count("Yes 0.46 polymarket + No 0.46 kalshi") == (1 if like == 80 else 2)
    assert "1234.5 s" in drawn(screen, width)
    assert all(len(line) <= width for line in lines)


async def test_where_nobody_answers_any_more_it_says_how_to_start_it():
    """As after a kill, which leaves the file that says where it ran."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = f"127.0.0.1:{gone.getsockname()[1]}"
    with pytest.raises(NotConnected, match=f"^no Arbiter answers at {address}; start it with ./just run$"):
        await watch(address, "key")


def test_those_that_ended_stand_in_a_table_of_their_own(screen):
    assert ENDED not in drawn(screen, 80)
    screen.take_opportunity(opportunity(1, title="Old", state="closed"))
    screen.take_opportunity(opportunity(2, title="New"))
    text = drawn(screen, 80)
    assert text.index(f"{OPEN}1 open") < text.index("New") < text.index(ENDED) < text.index("Old")
    assert (text.count("New"), text.count("Old")) == (1, 1)


def test_a_change_replaces_and_an_end_moves_it_down_with_its_duration(screen):
    screen.take_opportunity(opportunity())
    screen.take_opportunity(opportunity(state="updated", title="Changed"))
    assert "Proposition 1" not in drawn(screen)
    screen.take_opportunity(opportunity(state="closed", title="Changed"))
    text = drawn(screen)
    assert "Opportunities: 0 open" in text
    assert "2.5 s" in text
    assert text.count("Changed") == 1


def test_only_the_last_ended_ones_are_kept_newest_first(screen):
    for number in range(KEPT_CLOSED + 3):
        screen.take_opportunity(opportunity(number, state="closed"))
    shown = [line.split()[1] for line in drawn(screen).splitlines() if "Proposition" in line]
    assert shown == [str(number) for number in range(KEPT_CLOSED + 2, 2, -1)]


def test_a_position_is_shown_with_its_money(screen):
    hold(screen, position())
    text = drawn(screen)
    for part in ("Positions: 1", "Will it rain?", "Yes", "polymarket", "4.60", "0.45", "0.10"):
        assert part in text


def test_a_position_without_a_usable_book_shows_that_its_value_is_unknown(screen):
    hold(screen, position(mark_price=None, unrealised_pnl=None, exit_value=None))
    (line,) = [line for line in drawn(screen).splitlines() if "rain" in line]
    assert line.count("?") == 3  # its title has one


@pytest.mark.parametrize("title", ["[bold]markup[/bold]", "[/]", "[link=x]", "x" * 500, "日本語" * 100, ""])
@pytest.mark.parametrize("width", [20, 80, 200])
def test_no_title_and_no_width_breaks_the_screen(screen, title, width):
    screen.take_opportunity(opportunity(title=title))
    hold(screen, position(title=title))
    assert all(len(line) <= width for line in drawn(screen, width).splitlines())


def test_markup_in_a_title_is_text(screen):
    hold(screen, position(title="Will [red]X[/red] win?"))
    assert "Will [red]X[/red] win?" in drawn(screen)


def test_while_arbiter_is_away_it_says_so_and_shows_what_was(screen):
    screen.take_opportunity(opportunity())
    assert "no news" not in drawn(screen)
    screen.away = True
    text = drawn(screen)
    assert "no news: Arbiter does not answer; waiting for it" in text
    assert "Proposition 1" in text
