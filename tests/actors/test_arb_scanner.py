"""ArbScanner: an opportunity opens, changes and closes once each for every reader, also when the scanner itself dies."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from arbiter.actors.arb_scanner import SCANNER_STOPPED, SWEEP_SECONDS, GetPairs, GetScanStatistics
from arbiter.actors.market_feed import FRESH_SECONDS
from arbiter.domain.market_events import BooksInvalid
from arbiter.domain.money import parse_micros
from arbiter.runtime.testing import confuse


@pytest.fixture
def open_one(scene):
    """Books that make one opportunity: Polymarket's YES and Kalshi's NO for 40 + 50 cents, ten contracts."""

    async def open_one() -> None:
        await scene.quote(scene.yes, "0.38x10", "0.40x10")
        await scene.quote(scene.k_no, "0.48x10", "0.50x10")

    return open_one


class Reader:
    """What a subscriber saw, and which opportunities are open for it."""

    def __init__(self, snapshot, changes) -> None:
        self.snapshot = snapshot
        self.seen = []
        self.open = {change.id for change in snapshot}
        self._changes = changes

    async def read(self) -> list[str]:
        """Everything that waits, as states."""
        new = []
        with trio.move_on_after(0.001):
            while True:
                new.append(await self._changes.receive())
        for change in new:
            if change.state == "opened":
                assert change.id not in self.open
                self.open.add(change.id)
            else:
                assert change.id in self.open
            if change.state == "closed":
                self.open.remove(change.id)
        self.seen += new
        return [change.state for change in new]


@pytest.fixture
def reader(scene):
    """Starts reading: use it within the running scene."""
    opened = []

    def start() -> Reader:
        manager = scene.opportunities.subscribe("backpressure")
        opened.append(manager)
        return Reader(*manager.__enter__())

    yield start
    for manager in opened:
        manager.__exit__(None, None, None)


async def test_an_opportunity_opens_changes_and_closes_with_its_figures_and_its_duration(autojump_clock, scene, reader, open_one):
    async with scene.running():
        readings = reader()
        await scene.quote(scene.yes, "0.38x10", "0.40x10")
        assert await readings.read() == []
        opened_ms = scene.environment.unix_ms()
        await scene.quote(scene.k_no, "0.48x10", "0.50x10")
        assert await readings.read() == ["opened"]
        opened = readings.seen[0]
        assert (opened.pair, opened.title, opened.opened_ms, opened.at_ms, opened.duration_ms) == (
            "pair",
            "P or K",
            opened_ms,
            opened_ms,
            0,
        )
        assert opened.opportunity.size == parse_micros("10")
        assert opened.opportunity.net == parse_micros("1")
        assert scene.opportunities.values() == [opened]

        await trio.sleep(0.999)
        await scene.quote(scene.k_no, "0.48x10", "0.50x4")
        assert await readings.read() == ["updated"]
        updated = readings.seen[1]
        assert (updated.id, updated.opened_ms, updated.duration_ms) == (opened.id, opened_ms, 1000)
        assert updated.opportunity.size == parse_micros("4")
        assert updated.ages_ms == (1001, 0)

        await trio.sleep(1.999)
        await scene.quote(scene.k_no, "0.48x10", "0.70x4")
        assert await readings.read() == ["closed"]
        closed = readings.seen[2]
        assert (closed.id, closed.duration_ms, closed.at_ms, closed.reason) == (opened.id, 3000, opened_ms + 3000, "no_edge")
        assert closed.opportunity == updated.opportunity
        assert scene.opportunities.values() == []


async def test_a_changed_book_that_changes_no_figure_is_not_told(autojump_clock, scene, reader, open_one):
    async with scene.running():
        await open_one()
        readings = reader()
        await scene.quote(scene.yes, "0.37x10", "0.40x10")
        assert await readings.read() == []
        assert len(readings.snapshot) == 1


async def test_both_directions_of_a_pair_live_their_own_lives(autojump_clock, scene, reader, open_one):
    async with scene.running():
        await open_one()
        await scene.quote(scene.no, "0.28x10", "0.30x10")
        await scene.quote(scene.k_yes, "0.38x10", "0.40x10")
        readings = reader()
        assert len(readings.snapshot) == 2
        await scene.quote(scene.no, "0.58x10", "0.61x10")
        assert await readings.read() == ["closed"]
        assert len(readings.open) == 1


async def test_the_pairs_that_are_scanned_are_listed_page_by_page(autojump_clock, scene):
    async with scene.running():
        for request, found in (
            (GetPairs(5), (scene.pair,)),
            (GetPairs(5, "p"), (scene.pair,)),
            (GetPairs(5, "pair"), ()),
            (GetPairs(0), ()),
        ):
            assert await scene.scanner.ref.ask(request, timeout=5) == found


async def test_books_of_other_markets_cost_no_decision(autojump_clock, scene, open_one):
    async with scene.running():
        await open_one()
        await trio.sleep(0.1)
        before = await scene.scanner.ref.ask(GetScanStatistics(), timeout=5)
        assert (before.books, before.decisions, before.opened) == (2, before.decisions, 1)
        scene.data.books.publish("elsewhere", None)
        await wait_all_tasks_blocked()
        assert await scene.scanner.ref.ask(GetScanStatistics(), timeout=5) == before


async def test_deeper_bids_cost_no_decision_since_they_change_none(autojump_clock, scene, open_one):
    async with scene.running():
        await open_one()
        before = await scene.scanner.ref.ask(GetScanStatistics(), timeout=5)
        await scene.quote(scene.yes, "0.38x10 0.37x5", "0.40x10")
        await scene.quote(scene.yes, "0.38x11 0.36x5", "0.40x10")
        assert await scene.scanner.ref.ask(GetScanStatistics(), timeout=5) == before
        await scene.quote(scene.yes, "0.39x1 0.38x11", "0.40x10")
        await scene.quote(scene.yes, "0.39x1 0.38x11", "0.40x10 0.99x1")
        assert (await scene.scanner.ref.ask(GetScanStatistics(), timeout=5)).books == before.books + 2


async def test_a_bid_that_crosses_the_asks_closes_it(autojump_clock, scene, reader, open_one):
    async with scene.running():
        readings = reader()
        await open_one()
        await scene.quote(scene.yes, "0.40x1 0.38x10", "0.40x10")
        assert await readings.read() == ["opened", "closed"]
        assert readings.seen[-1].reason == "crossed_book"


async def test_rejections_are_counted_by_their_reason(autojump_clock, scene):
    async with scene.running():
        await scene.quote(scene.yes, "0.38x10", "0.60x10")
        await scene.quote(scene.k_no, "0.48x10", "0.50x10")
        await scene.quote(scene.k_no, "0.48x10", "")
        statistics = await scene.scanner.ref.ask(GetScanStatistics(), timeout=5)
        # without a book: a look at each of the four outcomes as the venues connect, and the first quote
        assert statistics.rejected == {"no_book": 5, "no_edge": 1, "empty_book": 1}


async def test_silence_closes_it_once_the_book_is_no_longer_fresh(autojump_clock, scene, reader, open_one):
    async with scene.running():
        await open_one()
        readings = reader()
        scene.kalshi.alive = False
        await trio.sleep(FRESH_SECONDS - 3)
        assert await readings.read() == []
        await trio.sleep(3 + SWEEP_SECONDS)
        assert await readings.read() == ["closed"]
        closed = readings.seen[0]
        assert closed.reason == "stale_book"
        assert FRESH_SECONDS - 2.1 <= closed.duration_ms / 1000 <= FRESH_SECONDS + SWEEP_SECONDS


async def test_a_lost_feed_closes_it_at_once_and_its_return_opens_a_new_one(autojump_clock, scene, reader, open_one):
    async with scene.running():
        await open_one()
        readings = reader()
        scene.polymarket.tell("the cable was cut")
        await wait_all_tasks_blocked()
        assert await readings.read() == ["closed"]
        assert readings.seen[0].reason in ("stale_book", "empty_book")
        await trio.sleep(1)
        assert await readings.read() == ["opened"]
        assert readings.seen[1].id != readings.seen[0].id


async def test_an_invalid_book_closes_it(autojump_clock, scene, reader, open_one):
    async with scene.running():
        await open_one()
        readings = reader()
        scene.kalshi.tell(BooksInvalid("a gap", (scene.k_yes, scene.k_no)))
        await wait_all_tasks_blocked()
        assert await readings.read() == ["closed"]


async def test_a_crash_of_the_feed_closes_it_too(autojump_clock, scene, reader, open_one):
    async with scene.running():
        await open_one()
        readings = reader()
        await scene.crash(scene.feeds[scene.kalshi.name])
        assert (await readings.read())[0] == "closed"
        assert len(readings.open) == 1


async def test_a_restarted_scanner_leaves_no_ghost_and_opens_anew_what_is_still_there(autojump_clock, scene, reader, open_one):
    async with scene.running():
        await open_one()
        readings = reader()
        (ghost,) = readings.open
        epoch = scene.opportunities.epoch
        await scene.crash(scene.scanner)
        assert await readings.read() == ["closed", "opened"]
        closed, opened = readings.seen
        assert (closed.id, closed.reason) == (ghost, SCANNER_STOPPED)
        assert {change.id for change in scene.opportunities.values()} == readings.open == {opened.id}
        assert scene.opportunities.epoch == epoch + 1


async def test_what_vanished_while_the_scanner_was_away_stays_closed(autojump_clock, scene, reader, open_one):
    async with scene.running():
        await open_one()
        readings = reader()
        confuse(scene.scanner.ref)
        await wait_all_tasks_blocked()
        await scene.quote(scene.k_no, "0.48x10", "0.70x4")
        await trio.sleep(1)
        assert await readings.read() == ["closed"]
        assert scene.opportunities.values() == []


async def test_stopping_the_program_closes_everything_for_its_readers(autojump_clock, scene, reader, open_one):
    async with scene.running():
        await open_one()
        readings = reader()
    assert await readings.read() == ["closed"]
    assert readings.open == set()
