"""What was recorded of a run replays to what that run found; nothing secret is in the file; faults of the venues replay too."""

import json
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest
import trio
from backports import zstd
from trio.testing import MockClock

from arbiter.actors.arb_scanner import ArbScanner, OpportunityChanged, mailbox_key
from arbiter.actors.market_feed import MarketData, MarketFeed
from arbiter.domain.ids import OpportunityId
from arbiter.frames.file import FramesFile
from arbiter.frames.lines import Closed, Exchange, Opened, Received, Sent
from arbiter.played import RecordedFrames
from arbiter.replayer import Summary, replay
from arbiter.runtime import Child, Conflate, Environment, Group, Supervisor, Topic


def replayed(path: Path) -> tuple[list[dict[str, object]], Summary]:
    written: list[bytes] = []
    summary = replay(path, written.append)
    return [json.loads(line) for line in written], summary


Times = dict[tuple[object, ...], list[list[int]]]


def open_times(lines: list[dict[str, object]], end_ms: int) -> Times:
    """From when to when each opportunity stood, by what is bought.

    The replay looks after each message, the program after each piece of bytes, in which several may stand: what opens or closes
    between two messages of one instant has no length, and is left out.
    """
    found: Times = {}
    for line in lines:
        key = (line["pair"], *(tuple(leg["outcome"]) for leg in line["opportunity"]["legs"]))
        times = found.setdefault(key, [])
        if line["state"] == "opened":
            if times and times[-1][1] == line["at_ms"]:
                times[-1][1] = end_ms
            else:
                times.append([line["at_ms"], end_ms])
        elif line["state"] == "closed":
            times[-1][1] = line["at_ms"]
            if times[-1][0] == times[-1][1]:
                times.pop()
    return {key: times for key, times in found.items() if times}


def test_a_replay_finds_what_the_program_found_when_it_was_recorded(recorded):
    live = recorded(60)
    found, summary = replayed(live.path)
    changes = [json.loads(msgspec.json.encode(change)) for change in live.changes if change.reason != "scanner_stopped"]
    end_ms = max(line["at_ms"] for line in found + changes) + 1
    times = open_times(changes, end_ms)
    assert sum(map(len, times.values())) > 10
    assert open_times(found, end_ms) == times
    assert (summary.counts.get("undelivered", 0), summary.counts.get("unanswered", 0), summary.restarts) == (0, 0, 0)
    assert [summary.venues[name]["frames"] for name in ("polymarket", "kalshi")] == [each["frames"] for each in live.statistics]


def test_everything_that_went_over_the_wire_is_in_the_file(recorded):
    live = recorded(20)
    lines = list(FramesFile(live.path).lines())
    kinds = Counter((type(line), getattr(line, "op", "")) for line in lines)
    frames = sum(each["frames"] for each in live.statistics)
    pongs = sum(line.text == "PONG" for line in lines if isinstance(line, Received))
    assert kinds[Received, "text"] == frames + pongs
    assert kinds[Opened, ""] == 2
    assert kinds[Closed, ""] == 0  # they were open when the recording ended
    assert kinds[Sent, "ping"] == kinds[Received, "pong"] > 3
    assert {line.target.partition("?")[0] for line in lines if isinstance(line, Exchange)} >= {
        "/markets/keyset",
        "/trade-api/v2/series",
        "/trade-api/v2/events",
    }


def test_nothing_secret_is_in_the_file(recorded):
    live = recorded(10)
    text = zstd.decompress(live.path.read_bytes()).lower()
    assert b"/trade-api/ws/v2" in text  # whose upgrade was signed
    for secret in (b"hush", b"kalshi-access", b"signature", b"user-agent", b"sec-websocket"):
        assert secret not in text


async def faults(shell) -> None:
    """A lost sequence number, a cut, an end in order; each heals before the next."""
    await trio.sleep(12)
    shell.sandbox.kalshi.fault_gap()
    await trio.sleep(20)
    shell.sandbox.polymarket.fault_drop()
    shell.wake.all()
    await trio.sleep(20)
    shell.sandbox.kalshi.fault_close()
    shell.wake.all()


def test_lost_connections_and_gaps_are_replayed_as_they_were(recorded):
    live = recorded(75, disturb=faults, events=3)
    found, summary = replayed(live.path)
    for name, statistics in zip(("polymarket", "kalshi"), live.statistics, strict=True):
        for counter in ("gaps", "connections"):
            assert summary.venues[name][counter] == statistics[counter], (name, counter)
    assert live.statistics[1]["gaps"] >= 1  # one for each numbered subscription that told something after it
    assert live.statistics[1]["connections"] == 2, "a gap is healed on the connection"
    assert live.statistics[0]["connections"] == 2
    assert len(found) > 10


def test_two_replays_are_the_same_byte_for_byte(recorded):
    live = recorded(20, disturb=faults)
    first: list[bytes] = []
    second: list[bytes] = []
    replay(live.path, first.append)
    replay(live.path, second.append)
    assert first == second != []


def test_a_file_without_its_end_is_replayed_as_far_as_it_goes(recorded):
    live = recorded(20)
    whole = live.path.read_bytes()
    live.path.write_bytes(whole[: len(whole) * 2 // 3])
    found, summary = replayed(live.path)
    assert summary.truncated
    assert "the end of the file is missing; what is there was replayed" in summary.lines()
    assert found
    assert 5 < summary.recorded_seconds < 19


def test_the_summary_counts_what_was_written(recorded):
    found, summary = replayed(recorded(20).path)
    for name in ("opened", "updated", "closed"):
        assert sum(line["state"] == name for line in found) == getattr(summary, name) > 0, name


async def look_on(path: Path, speed: int) -> tuple[list[OpportunityChanged], list[int]]:
    """The paced replay, and the connections of each venue up to 40 s after its end."""
    environment, frames = Environment.simulated(1), RecordedFrames(path)
    venues = frames.venues(environment)
    data, opportunities = MarketData(), Topic[OpportunityId, OpportunityChanged]("opportunities")
    changes: list[OpportunityChanged] = []
    scanner = Child("arb_scanner", lambda: ArbScanner(frames.pairs, data, opportunities, environment), mailbox=Conflate(mailbox_key))
    feeds = [Child(venue.name, lambda venue=venue: MarketFeed(venue, data, environment)) for venue in venues]
    async with trio.open_nursery() as nursery:
        with opportunities.deliver_to(changes.append):
            nursery.start_soon(Supervisor(Group("root", [*feeds, scanner]), environment).run)
            await frames.play(speed)
            ended = len(changes)
            await trio.sleep(40)
        nursery.cancel_scope.cancel()
    return changes[:ended], [venue.statistics()["connections"] for venue in venues]


@pytest.mark.parametrize("speed", [1, 4])
def test_a_paced_replay_shows_the_same_openings_and_its_connections_stand_after_the_end(recorded, speed):
    path = recorded(20, events=3).path
    found, _ = replayed(path)
    began = time.monotonic()
    changes, connections = trio.run(look_on, path, speed, clock=MockClock(autojump_threshold=0))
    assert time.monotonic() - began < 60
    assert connections == [1, 1]
    opened = {change.pair for change in changes if change.state == "opened"}
    assert opened == {line["pair"] for line in found if line["state"] == "opened"}
    assert opened
