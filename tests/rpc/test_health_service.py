"""Health: what is SERVING follows from the actors that run, and whoever watches is told of each change."""

from types import SimpleNamespace

import pytest
import trio

from arbiter.errors import LimitExceeded, NotFound
from arbiter.rpc import health_service
from arbiter.rpc.failures import MOST_ASKING
from arbiter.rpc.gate import HEALTH_PER_SECOND, Gate
from arbiter.rpc.health_service import (
    ACCOUNTS,
    FRONT,
    MOST_OF_NETWORK,
    MOST_OF_ONE,
    NEEDS,
    NOT_SERVING,
    SERVICE_UNKNOWN,
    SERVING,
    CheckRequest,
    HealthService,
    statuses,
)
from arbiter.rpc.tokens import TokenAuthority

TRADING, STRATEGY, USER = "arbiter.v1.TradingService", "arbiter.v1.StrategyService", "arbiter.v1.UserService"
DESK, SCANNER, FEED = "root/core/trading/kalshi_desk", "root/core/strategies/arb_scanner", "root/core/inputs/kalshi_feed"
ALL = (*ACCOUNTS, DESK, SCANNER, FEED, FRONT)
CHECK = ("grpc.health.v1.Health", "Check")


def running(**changed: str) -> dict[str, str]:
    return dict.fromkeys(ALL, "running") | changed


# -- what follows from the actors --


def test_everything_is_serving_while_everything_runs():
    assert statuses(NEEDS, running()) == dict.fromkeys(NEEDS, SERVING)


@pytest.mark.parametrize("state", ["waiting", "starting", "backing_off", "parked", "stopping", "stopped"])
def test_a_desk_that_does_not_run_takes_trading_and_the_server_down_and_no_other_service(state):
    found = statuses(NEEDS, running() | {DESK: state})
    assert {name for name, status in found.items() if status == NOT_SERVING} == {"", TRADING}


@pytest.mark.parametrize("part", ACCOUNTS)
def test_without_journal_brake_or_accounts_nothing_serves(part):
    assert set(statuses(NEEDS, running() | {part: "backing_off"}).values()) == {NOT_SERVING}


def test_a_scanner_that_is_down_takes_the_strategies_down_alone():
    found = statuses(NEEDS, running() | {SCANNER: "parked"})
    assert {name for name, status in found.items() if status == NOT_SERVING} == {STRATEGY}


def test_a_venue_that_is_away_takes_nothing_down():
    assert statuses(NEEDS, running() | {FEED: "parked"}) == dict.fromkeys(NEEDS, SERVING)


@pytest.mark.parametrize("state", ["stopping", "stopped"])
def test_nothing_serves_while_the_front_stops(state):
    assert set(statuses(NEEDS, running() | {FRONT: state}).values()) == {NOT_SERVING}


def test_actors_that_are_not_there_are_not_taken_for_running():
    assert set(statuses(NEEDS, {}).values()) == {NOT_SERVING}


async def test_every_actor_that_a_service_needs_is_there_in_the_composed_program(program):
    states = dict(program.arbiter.core.states())
    for needed in {FRONT, *(each for needs in NEEDS.values() for each in needs)}:
        assert [path for path in states if path == needed or (needed.endswith("/") and path.startswith(needed))], needed
    assert "root/core/trading/kalshi_desk" in states


# -- the service by itself --


class Actors:
    """What a HealthService looks at, set by hand; counts the looks."""

    def __init__(self) -> None:
        self.states = running()
        self.looks = 0
        self.service = HealthService([USER, TRADING], self, trio.current_time)

    def __call__(self):
        self.looks += 1
        return self.states.items()

    async def check(self, service=""):
        return (await self.service.Check(CheckRequest(service=service), None)).status

    def watch(self, service="", peer="1.1.1.1", *, verified=False):
        return self.service.Watch(CheckRequest(service=service), SimpleNamespace(peer=peer, verified_peer=verified))


@pytest.fixture
def actors():
    return Actors()


async def test_a_check_answers_for_each_service_and_for_the_server(actors, autojump_clock):
    actors.states[DESK] = "backing_off"
    assert [await actors.check(name) for name in ("", TRADING, USER)] == [NOT_SERVING, NOT_SERVING, SERVING]


async def test_a_check_of_a_service_that_there_is_not_is_not_found(actors, autojump_clock):
    with pytest.raises(NotFound, match=r"no service 'x\.Y'"):
        await actors.check("x.Y")


async def test_a_list_has_every_service(actors, autojump_clock):
    answer = await actors.service.List(None, None)
    assert {name: each.status for name, each in answer.statuses.items()} == {"": SERVING, USER: SERVING, TRADING: SERVING}


async def test_however_many_ask_the_actors_are_looked_at_once_in_a_while(actors, autojump_clock):
    for _ in range(1_000):
        await actors.check()
    assert actors.looks == 1
    await trio.sleep(health_service.LOOK_SECONDS)
    await actors.check()
    assert actors.looks == 2


async def test_a_watcher_is_told_at_once_and_then_of_each_change_alone(actors, autojump_clock):
    told = []

    async def watch():
        async for answer in actors.watch():
            told.append((trio.current_time() - began, answer.status))

    async with trio.open_nursery() as nursery:
        began = trio.current_time()
        nursery.start_soon(watch)
        await trio.sleep(10.1)
        actors.states[DESK] = "starting"
        await trio.sleep(10)
        actors.states[DESK] = "backing_off"  # no other status
        await trio.sleep(10)
        actors.states[DESK] = "running"
        await trio.sleep(10)
        nursery.cancel_scope.cancel()
    assert [status for _, status in told] == [SERVING, NOT_SERVING, SERVING]
    assert [at for at, _ in told] == [pytest.approx(at, abs=2 * health_service.LOOK_SECONDS) for at in (0, 10.1, 30.1)]


async def test_an_unknown_service_is_watched_as_such(actors, autojump_clock):
    watch = actors.watch("x.Y")
    assert (await anext(watch)).status == SERVICE_UNKNOWN
    with trio.move_on_after(60) as waiting:
        await anext(watch)
    assert waiting.cancelled_caught
    await watch.aclose()


async def opened(actors, peers):
    watches = [actors.watch(peer=each) for each in peers]
    for watch in watches:
        await anext(watch)
    return watches


async def test_more_watchers_of_an_address_than_allowed_are_refused_and_those_that_leave_make_room(actors, autojump_clock):
    watches = await opened(actors, ["1.1.1.1"] * MOST_OF_ONE)
    with pytest.raises(LimitExceeded, match="20 calls watch the health already from this address"):
        await anext(actors.watch(peer="1.1.1.1"))
    watches += await opened(actors, ["2.2.2.2"])
    await watches.pop(0).aclose()
    watches += await opened(actors, ["1.1.1.1"])
    for watch in watches:
        await watch.aclose()
    assert actors.service.watchers == 0


async def closed(actors, watches):
    for watch in watches:
        await watch.aclose()
    assert actors.service.watchers == 0


async def test_a_network_has_only_a_part_of_all_watchers(actors, autojump_clock):
    watches = await opened(actors, [f"1.1.1.{number}" for number in range(MOST_OF_NETWORK)])
    with pytest.raises(LimitExceeded, match="40 calls watch the health already from this network"):
        await anext(actors.watch(peer="1.1.1.200"))
    v6 = await opened(actors, [f"2001:db8:1:{number:x}::1" for number in range(MOST_OF_NETWORK)])
    with pytest.raises(LimitExceeded, match="40 calls watch the health already from this network"):
        await anext(actors.watch(peer="2001:db8:1:ffff::1"))
    await closed(actors, [*watches, *v6, *await opened(actors, ["1.1.2.1", "2001:db8:2::1"])])


async def test_where_all_are_taken_the_network_with_the_most_makes_room_for_another(actors, autojump_clock):
    crowd = [f"1.1.{network}.{number}" for network in (1, 2, 3) for number in range(MOST_OF_NETWORK)]
    watches = await opened(actors, crowd[: health_service.MOST_WATCHERS])
    newcomer = await opened(actors, ["9.9.9.9"])
    with pytest.raises(LimitExceeded, match="from your network"):
        await anext(watches[0])
    with pytest.raises(LimitExceeded, match="100 calls watch the health already"):
        await anext(actors.watch(peer="1.1.1.250"))
    actors.states[DESK] = "backing_off"
    assert (await anext(newcomer[0])).status == NOT_SERVING
    await closed(actors, [*watches, *newcomer])


async def test_this_machine_and_who_proves_who_they_are_have_their_own(actors, autojump_clock):
    watches = await opened(actors, [f"1.{number}.1.1" for number in range(health_service.MOST_WATCHERS)])
    with pytest.raises(LimitExceeded, match="100 calls watch the health already"):
        await anext(actors.watch(peer="2.2.2.2"))
    watches += await opened(actors, ["127.0.0.1", "local", "::1"])
    proven = actors.watch(peer="1.1.1.1", verified=True)
    assert await anext(proven)
    await closed(actors, [*watches, proven])


# -- through the server, with the official client --


async def test_the_official_client_checks_without_a_token(program, probes):
    assert await probes.lines("check", program.address, "", TRADING, USER, "x.Y") == ["SERVING", "SERVING", "SERVING", "NOT_FOUND"]


async def test_the_official_client_lists_every_service(program, probes):
    names = {line.partition("=")[0]: line.partition("=")[2] for line in await probes.lines("list", program.address)}
    assert names == dict.fromkeys(NEEDS, "SERVING")


async def test_the_official_client_watches_a_part_go_and_come_back(program, probes, monkeypatch, logged):
    states = program.arbiter.core.states
    parts = dict(states())
    health = program.arbiter.front.health
    monkeypatch.setattr(health, "_states", parts.items)
    async with probes.telling("watch", program.address, TRADING) as line:
        assert await line() == "SERVING"
        parts[DESK] = "backing_off"
        assert await line() == "NOT_SERVING"
        parts[DESK] = "running"
        assert await line() == "SERVING"


async def test_a_watcher_that_leaves_is_forgotten(program, probes, eventually):
    health = program.arbiter.front.health
    async with probes.telling("watch", program.address) as line:
        assert await line() == "SERVING"
        assert health.watchers == 1
    await eventually(lambda: health.watchers == 0)


def test_a_flood_of_checks_holds_up_no_sign_in(core, keys, clock):
    admit = Gate(core, TokenAuthority(keys, clock.environment)).admit
    for _ in range(2 * HEALTH_PER_SECOND):
        admit(*CHECK, ())
    with pytest.raises(LimitExceeded, match="too many calls that ask for the health"):
        admit(*CHECK, ())
    assert admit(USER, "Authenticate", ()) is None


def test_a_flood_of_checks_holds_up_no_other_address_and_is_remembered_of_so_many(core, keys, clock):
    gate = Gate(core, TokenAuthority(keys, clock.environment))
    for _ in range(2 * HEALTH_PER_SECOND):
        gate.admit(*CHECK, (), "1.1.1.1")
    with pytest.raises(LimitExceeded):
        gate.admit(*CHECK, (), "1.1.1.1")
    for peer in ("1.1.1.2", "local", "127.0.0.1"):
        assert gate.admit(*CHECK, (), peer) is None
    for number in range(2 * MOST_ASKING):
        gate.admit(*CHECK, (), f"2.2.{number // 250}.{number % 250}")
    assert len(gate._health) == MOST_ASKING
