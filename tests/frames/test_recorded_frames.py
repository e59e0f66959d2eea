"""The recorded production frames through the real connectors and feeds: after every message the books are those of a naive fold.

The fold here reads the sources itself and shares no line with the converters, the connectors or the books. The recordings are no part
of the repository. A usual run plays the beginning of each Kalshi file and each Polymarket file up to its first long silence; all of
them are played whole where ARBITER_LONG=1 asks for it, as the nightly run does.
"""

import csv
import gzip
import json
import os
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from pathlib import Path
from random import Random

import pytest
import trio

from arbiter.actors.market_feed import MarketData, MarketFeed
from arbiter.domain.ids import MarketId, OutcomeId, OutcomeKey, VenueId
from arbiter.domain.money import MICRO
from arbiter.frames.file import FramesFile
from arbiter.frames.lines import Received
from arbiter.frames.lockstep import StandingClock, drive
from arbiter.frames.playback import Playback
from arbiter.played import RecordedFrames
from arbiter.runtime import Child, Environment, Group, Supervisor
from arbiter.runtime.seeded import seeded_scheduler
from arbiter.sandbox.convert import convert

RECORDINGS = Path(__file__).resolve().parents[2].parent / "shared" / "recordings"
LONG = bool(os.environ.get("ARBITER_LONG"))
SAMPLE = 1_500
"""Messages of a file that a usual run plays."""
LONGEST_SILENCE_MS = 300_000
"""A usual run ends at the first longer one: the program's own timers would take most of the time."""

Sides = tuple[dict[int, int], dict[int, int]]
"""Bids and asks: price -> size, in micros."""
Books = dict[str, Sides]


# -- the naive fold --


def micros(text: str) -> int:
    scaled = Decimal(text) * MICRO
    assert scaled == int(scaled)
    return int(scaled)


def opposite(sides: Sides) -> Sides:
    bids, asks = sides
    return {MICRO - price: size for price, size in asks.items()}, {MICRO - price: size for price, size in bids.items()}


def kalshi_books(path: Path) -> Iterator[Books]:
    """After each message of the file, the books by outcome."""
    bids: dict[str, dict[int, int]] = {"yes": {}, "no": {}}
    with gzip.open(path, "rt") as file:
        for line in file:
            event = json.loads(line)["event"]
            message = event["msg"]
            if event["type"] == "orderbook_snapshot":
                for side in bids:
                    bids[side] = {micros(price): micros(size) for price, size in message.get(f"{side}_dollars_fp", [])}
            elif event["type"] == "orderbook_delta":
                held = bids[message["side"]]
                price = micros(message["price_dollars"])
                held[price] = held.get(price, 0) + micros(message["delta_fp"])
                if not held[price]:
                    del held[price]
            yes = (bids["yes"], {MICRO - price: size for price, size in bids["no"].items()})
            yield {"yes": yes, "no": opposite(yes)}


def polymarket_books(path: Path) -> Iterator[Books]:
    """After each message, the books by token; those that had no `book` yet are left out."""
    with gzip.open(path, "rt", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: int(row["timestamp"]))
    messages: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in rows:
        messages.setdefault(tuple(row[name] for name in ("timestamp", "event_type", "asset_id", "hash")), []).append(row)
    books: Books = {}
    for (_, event, token, _), levels in messages.items():
        if event == "book":
            books[token] = ({}, {})
        if token in books:
            for row in levels:
                side = books[token][0 if row["side"] in ("bid", "BUY") else 1]
                side[micros(row["price"])] = micros(row["size"])
                if not side[micros(row["price"])]:
                    del side[micros(row["price"])]
        yield books


# -- the program --


class Compared:
    """The playback's steps; each time the program has come to rest after a message, its books are held against the fold's."""

    def __init__(
        self, playback: Playback, data: MarketData, venue: str, market: str, folds: Iterator[Books], skipped: int, most: int
    ) -> None:
        self._playback, self._data, self._folds, self._most = playback, data, folds, most
        self._venue, self._market = VenueId(venue), MarketId(market)
        self._skipped = skipped
        """Messages that the converter made up: the answers to the subscriptions."""
        self._seen = 0
        self._last_at = 0.0
        self.compared = 0
        self.differ: list[str] = []

    def next_at(self) -> float | None:
        delivered = self._playback.counts["delivered"]
        if delivered > self._seen:
            assert delivered == self._seen + 1
            self._seen = delivered
            if delivered > self._skipped:
                self._compare(next(self._folds))
        at = self._playback.next_at()
        silent = at is not None and (at - self._last_at) * 1000 > LONGEST_SILENCE_MS and self.compared > 0
        return None if self.differ or self.compared >= self._most or (silent and not LONG) else at

    def moved_to(self, seconds: float) -> None:
        self._playback.moved_to(seconds)

    def step(self) -> None:
        self._last_at = self._playback.next_at() or 0.0
        self._playback.step()

    def _compare(self, folded: Books) -> None:
        self.compared += 1
        for outcome, (bids, asks) in folded.items():
            book = self._data.books.get(OutcomeKey(self._venue, self._market, OutcomeId(outcome)))
            if book is None or not book.trusted or (dict(book.bids), dict(book.asks)) != (bids, asks):
                self.differ.append(f"{outcome} after message {self.compared}: {book} instead of {bids} {asks}")


async def play(frames: RecordedFrames, clock: StandingClock, folds: Iterator[Books], most: int) -> Compared:
    environment = Environment(lambda: frames.started_ms + round(clock.now * 1000), trio.current_time, Random(1))
    data = MarketData()
    (venue,) = frames.venues(environment)
    (market,) = frames.playback.header.markets
    made_up = sum(isinstance(line, Received) and line.ns == 0 for line in FramesFile(frames.path).lines())
    compared = Compared(frames.playback, data, venue.name, market.key.market, folds, made_up, most)
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(Group("root", [Child("feed", lambda: MarketFeed(venue, data, environment))]), environment)
        nursery.start_soon(supervisor.run)
        await drive(clock, compared)
        nursery.cancel_scope.cancel()
    statistics = venue.statistics()
    assert (statistics["connections"], statistics["gaps"], statistics["malformed_frames"]) == (1, 0, 0)
    return compared


def played(path: Path, folds: Iterator[Books], most: int) -> Compared:
    clock = StandingClock()
    with seeded_scheduler(1):
        return trio.run(play, RecordedFrames(path), clock, folds, most, clock=clock)


KALSHI = sorted(RECORDINGS.glob("kalshi-ws/*/*.ndjson.gz"))
SHORT = (SAMPLE, 330, 6)
"""Messages of each Polymarket file before its first long silence, at most the sample."""
POLYMARKET = sorted(RECORDINGS.glob("polymarket-ws/*_events.csv.gz"))


@pytest.mark.parametrize("number", [0, 1])
def test_kalshi_books_are_those_of_a_naive_fold_after_every_message(number, tmp_path):
    if not KALSHI:
        pytest.skip("no recorded data here: kalshi-ws is not beside the repository")
    target = tmp_path / "frames.zst"
    convert("kalshi-frames", KALSHI[number], target)
    most = sum(1 for _ in kalshi_books(KALSHI[number])) if LONG else SAMPLE
    compared = played(target, kalshi_books(KALSHI[number]), most)
    assert compared.differ == []
    assert compared.compared == most


@pytest.mark.parametrize("number", [0, 1, 2])
def test_polymarket_books_are_those_of_a_naive_fold_after_every_message(number, tmp_path):
    if not POLYMARKET:
        pytest.skip("no recorded data here: polymarket-ws is not beside the repository")
    target = tmp_path / "frames.zst"
    convert("polymarket-frames", POLYMARKET[number], target)
    count = sum(1 for _ in polymarket_books(POLYMARKET[number]))
    compared = played(target, polymarket_books(POLYMARKET[number]), count if LONG else SAMPLE)
    assert compared.differ == []
    assert compared.compared == (count if LONG else SHORT[number])


def test_a_fold_that_misses_one_message_is_seen_to_differ(tmp_path):
    if not KALSHI:
        pytest.skip("no recorded data here: kalshi-ws is not beside the repository")
    target = tmp_path / "frames.zst"
    convert("kalshi-frames", KALSHI[0], target)
    wrong = (books for number, books in enumerate(kalshi_books(KALSHI[0])) if number != 5)
    assert played(target, islice(wrong, 100), 50).differ
