"""A real recording through the real connectors, feeds and scanner finds exactly the opportunities that it holds.

Mexico-England (2026-07-06, 13,444 samples) holds 150 openings, Paraguay-France (2026-07-04, 10,672 samples) 7. Why
these numbers are right: they are counted here once more, from the raw rows and straight from the formula, without a
line of the domain's search or fees and without the converter; and not only their number must agree, but each one's
pair, direction, first and last millisecond. Samples are played one at a time, and the program settles before the next,
so that nothing is conflated. The recordings are no part of the repository. Paraguay-France is played where
ARBITER_LONG=1 asks for it.
"""

import gzip
import json
import os
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, lcm
from pathlib import Path

import pytest
import trio
import trio.testing
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from arbiter.actors.arb_scanner import ArbScanner, OpportunityChanged, mailbox_key
from arbiter.actors.market_feed import MarketData, MarketFeed
from arbiter.domain.ids import OpportunityId
from arbiter.runtime import Child, Conflate, Environment, Group, Supervisor, Topic
from arbiter.sandbox.convert import convert_worldcup
from arbiter.sandbox.exchange import Sandbox
from arbiter.sandbox.recording import RecordedWorld, Recording
from arbiter.sandbox.shells import MemoryNetwork, Shell, Wake
from arbiter.venues.kalshi.client import Kalshi, KalshiHosts
from arbiter.venues.kalshi.signing import KalshiSigner
from arbiter.venues.polymarket.client import Polymarket, PolymarketHosts

WORLDCUP = Path(__file__).resolve().parents[2].parent / "shared" / "recordings" / "worldcup"
PARAGUAY_FRANCE = WORLDCUP / "cross_venue_paraguay_france.jsonl.gz"
MEXICO_ENGLAND = WORLDCUP / "cross_venue_mexico_england_main.jsonl.gz"
KEY_ID = "sandbox-key"
LEAD_SECONDS = 10
"""The connectors are up before the recording begins."""

Life = tuple[str, str, int, int | None]
"""Pair, Polymarket's outcome, ms of the opening and of the end since the recording's start; None: open at its end."""


# -- what the recording holds: the formula over the raw rows --


@dataclass
class Touch:
    """One venue's best bid and ask of YES as (dollars, size), exact."""

    bid: tuple[Fraction, Fraction] | None = None
    ask: tuple[Fraction, Fraction] | None = None


def raw_rows(path: Path) -> list[dict[str, str | None]]:
    with gzip.open(path, "rt") as file:
        return [json.loads(line, parse_float=str, parse_int=str) for line in file]


def side(cents: str | None, size: str | None) -> tuple[Fraction, Fraction] | None:
    return None if cents is None else (Fraction(cents) / 100, Fraction(size))


def lives_by_formula(path: Path) -> set[Life]:
    """Each row in turn: does buying both sides pay now, at any size that both venues allow?"""
    rows = raw_rows(path)
    start = int(rows[0]["t_fetch"])
    touches: dict[tuple[str, str], Touch] = {}
    opened: dict[tuple[str, str], int] = {}
    found: set[Life] = set()
    for row in rows:
        touches[row["pair"], row["venue"]] = Touch(side(row["bid"], row["bid_sz"]), side(row["ask"], row["ask_sz"]))
        polymarket, kalshi = (touches.get((row["pair"], venue), Touch()) for venue in ("polymarket", "kalshi"))
        now = int(row["t_fetch"]) - start
        pair = "worldcup-" + row["pair"].partition(":")[0].rpartition("-")[2].lower()
        for outcome, pays in (("yes", pays_both(polymarket.ask, no_ask(kalshi))), ("no", pays_both(no_ask(polymarket), kalshi.ask))):
            if pays and (pair, outcome) not in opened:
                opened[pair, outcome] = now
            elif not pays and (pair, outcome) in opened:
                found.add((pair, outcome, opened.pop((pair, outcome)), now))
    return found | {(pair, outcome, at, None) for (pair, outcome), at in opened.items()}


def no_ask(touch: Touch) -> tuple[Fraction, Fraction] | None:
    """A NO is bought from whoever bids for YES."""
    return None if touch.bid is None else (1 - touch.bid[0], touch.bid[1])


def pays_both(polymarket: tuple[Fraction, Fraction] | None, kalshi: tuple[Fraction, Fraction] | None) -> bool:
    """Whether net(q) = q - cost - fees is above zero for some allowed q.

    Allowed: hundredths of a contract; price x q on Polymarket in whole cents; at least 5 shares and $1 there. A venue
    rounds in its own favour, so net(q) never exceeds q x slope - 0.01; and as that bound rises with q, sizes below the
    largest need a look only where rounding alone could make the difference.
    """
    if polymarket is None or kalshi is None:
        return False
    (p, p_size), (k, k_size) = polymarket, kalshi
    slope = 1 - p - k - Fraction(3, 100) * p * (1 - p) - Fraction(7, 100) * k * (1 - k)
    if slope <= 0:
        return False
    # the smallest q in hundredths for which q x p is a whole number of cents
    step = lcm(1, Fraction(p).denominator)
    largest = floor(min(p_size, k_size) * 100) // step * step
    if largest <= 0 or slope * largest / 100 <= Fraction(1, 100):
        return False
    return any(allowed(Fraction(q, 100), p) and net(Fraction(q, 100), p, k) > 0 for q in range(largest, 0, -step))


def allowed(q: Fraction, p: Fraction) -> bool:
    return q >= 5 and q * p >= 1


def net(q: Fraction, p: Fraction, k: Fraction) -> Fraction:
    """In dollars. Fees: 0.03 q p (1 - p), up to 0.00001; 0.07 q k (1 - k), up to 0.000001, and a cent kept for its fill."""
    cost = up(q * p, 6) + up(q * k, 6)
    fee_polymarket = up(Fraction(3, 100) * q * p * (1 - p), 5)
    fee_kalshi = up(Fraction(7, 100) * q * k * (1 - k), 6) + Fraction(1, 100)
    return q - cost - fee_polymarket - fee_kalshi


def up(dollars: Fraction, decimals: int) -> Fraction:
    return Fraction(ceil(dollars * 10**decimals), 10**decimals)


# -- what the program finds: connectors, feeds and scanner on the sandbox, one sample at a time --


async def lives_by_program(recording: Recording) -> tuple[list[Life], dict[str, int]]:
    """Every opportunity's life as published, and how often mailboxes conflated or venues reconnected."""
    environment = Environment.simulated(seed=1)
    start_ms = environment.unix_ms() + LEAD_SECONDS * 1000
    began = trio.current_time() + LEAD_SECONDS
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    shell = Shell(Sandbox(RecordedWorld(recording, start_ms), {KEY_ID: public}), environment.unix_ms, Wake())
    shell.sandbox.tick(environment.unix_ms())

    data = MarketData()
    opportunities: Topic[OpportunityId, OpportunityChanged] = Topic("opportunities")
    async with trio.open_nursery() as nursery:
        hosts = {"polymarket": shell.sandbox.polymarket, "kalshi": shell.sandbox.kalshi}
        network = MemoryNetwork(shell, hosts, nursery)
        polymarket = Polymarket(PolymarketHosts("http://polymarket", "http://polymarket", "ws://polymarket"), network, environment)
        kalshi_hosts = KalshiHosts("http://kalshi/trade-api/v2", "ws://kalshi")
        kalshi = Kalshi(kalshi_hosts, KalshiSigner(KEY_ID, private), network, environment)
        scanner = Child(
            "scanner",
            lambda: ArbScanner(recording.pairs, data, opportunities, environment),
            mailbox=Conflate(mailbox_key),
        )
        feeds = [Child(venue.name, lambda venue=venue: MarketFeed(venue, data, environment)) for venue in (polymarket, kalshi)]
        supervisor = Supervisor(Group("root", [*feeds, scanner]), environment)
        lives: dict[OpportunityId, Life] = {}

        def note(change: OpportunityChanged) -> None:
            bought = change.opportunity.legs[0].outcome
            label = "yes" if bought in {market.yes_key for market in recording.markets} else "no"
            end = change.at_ms - start_ms if change.state == "closed" else None
            lives[change.id] = (change.pair, label, change.opened_ms - start_ms, end)

        with opportunities.deliver_to(note):
            await nursery.start(supervisor.run)
            for ms in sorted({ms for ms, _ in recording.events}):
                await trio.sleep_until(began + ms / 1000)
                shell.sandbox.tick(environment.unix_ms())
                shell.wake.all()
            await trio.testing.wait_all_tasks_blocked()
            played = dict(lives)  # what stops at the end closes nothing
        counts = {
            "conflated": scanner.mailbox.conflated,
            "restarts": sum(status.restarts for status in supervisor.statuses()),
            "connections": polymarket.statistics()["connections"] + kalshi.statistics()["connections"],
        }
        nursery.cancel_scope.cancel()
    return list(played.values()), counts


async def assert_the_program_finds_what_the_formula_finds(source: Path, tmp_path: Path, count: int) -> None:
    target = tmp_path / "worldcup.jsonl.gz"
    convert_worldcup(source, target)
    recording = Recording.load(target)
    moments = [ms for ms, _ in recording.events]
    assert len(set(moments)) == len(moments), "two samples in one step could hide each other"
    found, counts = await lives_by_program(recording)
    assert counts == {"conflated": 0, "restarts": 0, "connections": 2}
    held = lives_by_formula(source)
    assert sorted(found, key=str) == sorted(held, key=str)
    assert len(found) == count


async def test_the_program_finds_every_opportunity_of_mexico_england_and_no_other(autojump_clock, tmp_path):
    if not MEXICO_ENGLAND.exists():
        pytest.skip("no recorded data here: worldcup is not beside the repository")
    await assert_the_program_finds_what_the_formula_finds(MEXICO_ENGLAND, tmp_path, 150)


async def test_the_program_finds_every_opportunity_of_paraguay_france_and_no_other(autojump_clock, tmp_path):
    if not os.environ.get("ARBITER_LONG"):
        pytest.skip("takes about 20 s more; set ARBITER_LONG=1")
    if not PARAGUAY_FRANCE.exists():
        pytest.skip("no recorded data here: worldcup is not beside the repository")
    await assert_the_program_finds_what_the_formula_finds(PARAGUAY_FRANCE, tmp_path, 7)


# -- the formula itself, on figures that can be checked by hand --


@pytest.mark.parametrize(
    ("polymarket", "kalshi", "pays"),
    [
        (("0.40", "100"), ("0.50", "100"), True),  # 10 - 0.72 - 1.75 - 0.01
        (("0.40", "100"), ("0.60", "100"), False),  # nothing left for fees
        (("0.40", "100"), ("0.58", "100"), False),  # 2 - 0.72 - 1.7052: the fees eat it
        (("0.40", "4.99"), ("0.50", "100"), False),  # below 5 shares
        (("0.10", "9.99"), ("0.50", "100"), False),  # below $1
        (("0.10", "10"), ("0.50", "100"), True),
        (("0.333", "9.99"), ("0.50", "100"), False),  # whole cents only at multiples of 10 shares
        (("0.333", "10"), ("0.50", "100"), True),
    ],
)
def test_the_formula_of_this_file_says_what_a_hand_calculation_says(polymarket, kalshi, pays):
    assert pays_both(*((Fraction(price), Fraction(size)) for price, size in (polymarket, kalshi))) is pays
