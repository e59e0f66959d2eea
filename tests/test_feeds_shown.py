"""How the feeds are shown: what is well is quiet, what is wrong is said, at any width."""

import io

import msgspec
import pytest
from rich.console import Console

from arbiter.feeds_shown import age, feed_lines, feeds_table
from arbiter.rpc.client_market_types import FeedInfo, FeedLineInfo

LINE = FeedLineInfo(0, True, 800, "", 10_000, 10_000, 10_000, 6_000)
FEED = FeedInfo("polymarket", True, "", 5_000, 5_000, 10_000, 10_000, 10_000, 6_000, 120_000, "", (LINE,), {"frames": 1_234, "gaps": 0})
CUT = msgspec.structs.replace(LINE, line=1, connected=False, problem="cut")


def changed(**changes):
    return msgspec.structs.replace(FEED, **changes)


def drawn(what, width=120):
    out = io.StringIO()
    Console(file=out, width=width).print(what)
    return out.getvalue()


def test_a_feed_that_is_well_is_one_line():
    assert drawn(feed_lines([FEED])).splitlines() == ["polymarket: connected, 10,000 of 10,000 books fresh"]


@pytest.mark.parametrize(
    ("feed", "said"),
    [
        (changed(connected=False, fresh=0, problem="no DNS", lines=(CUT,)), "down, 0 of 10,000 books fresh; no DNS"),
        (changed(lines=(LINE, CUT), problem="cut", fresh=5), "1 of 2 lines down, 5 of 10,000 books fresh; cut"),
        (changed(catalogue_problem="HTML", problem="HTML"), "connected, 10,000 of 10,000 books fresh; HTML"),
        (changed(catalogue_age_ms=10**6), "connected, 10,000 of 10,000 books fresh; the catalogue was not read for long"),
    ],
)
def test_what_is_wrong_is_said(feed, said):
    assert drawn(feed_lines([feed])).splitlines() == [f"polymarket: {said}"]
    assert feed.problem in drawn(feeds_table([feed], 120))


def test_counters_that_are_not_zero_are_shown_and_no_others():
    text = drawn(feeds_table([FEED, changed(venue="kalshi", counters={})], 120))
    assert "polymarket counted: frames 1,234" in text
    assert "gaps" not in text
    assert "kalshi counted" not in text


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140])
def test_no_figure_is_cut_at_any_width(width):
    rows = drawn(feeds_table([FEED, changed(venue="kalshi", followed=4_000)], width), width).splitlines()
    assert "10,000" in rows[2]
    assert "…" not in rows[2]
    assert ("4,000 of 5,000" in rows[3]) == (width >= 60)


def test_what_a_venue_sends_is_never_obeyed_by_the_terminal():
    assert "\x1b" not in drawn(feed_lines([changed(problem="\x1b[31m[red]x\nnext")]))


def test_a_feed_that_never_had_a_book_has_no_proof():
    row = drawn(feeds_table([changed(trusted=0, fresh=0, books=0, catalogue_age_ms=None)], 120)).splitlines()[2]
    assert "not read yet" in row
    assert " - " in row


@pytest.mark.parametrize(("ms", "text"), [(0, "0.0 s"), (99_900, "99.9 s"), (120_000, "2 min"), (10_000_000, "3 h")])
def test_ages_are_in_the_unit_that_a_person_would_choose(ms, text):
    assert age(ms) == text
