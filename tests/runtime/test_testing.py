"""The test kit: an actor alone, probes, seeded runs, crashes on purpose."""

from collections.abc import Awaitable, Callable
from random import Random

import pytest
import trio
from trio._core import _run as scheduler
from trio.testing import wait_all_tasks_blocked

from arbiter.errors import ActorStopped, AskTimeout, NotFound
from arbiter.runtime import Actor, Backoff, Backpressure, Child, Group, Intensity, Message, Ref, Request
from arbiter.runtime.testing import InjectedCrash, Probe, crash_at, crash_by_chance, run_seeded, running


class Note(Message, frozen=True, tag=True):
    text: str


class Double(Request[int], frozen=True, tag=True):
    number: int


class Clerk(Actor[Note | Double]):
    """Asks the desk for what it is asked; crashes where its words say so."""

    def __init__(self, desk: Ref[Note | Double]) -> None:
        self.desk = desk

    async def started(self) -> None:
        if self.desk.name == "bad desk":
            raise ValueError("no start")

    async def handle(self, message: Note | Double) -> object:
        match message:
            case Note("crash"):
                raise ValueError("as told")
            case Note("beside"):
                self.context.start_task(self._fail)
            case Note("hang"):
                await trio.sleep_forever()
            case Note("badly ended"):
                self.bad_end = True
            case Note("stop"):
                self.context.stop()
            case Note():
                self.desk.offer(message)
            case Double():
                return await self.desk.ask(message, timeout=1)
        return None

    bad_end = False

    async def stopped(self) -> None:
        if self.bad_end:
            raise ValueError("no end")

    async def _fail(self) -> None:
        raise ValueError("beside")


@pytest.fixture
def probe() -> Probe[Note | Double]:
    return Probe("desk")


# -- an actor alone --


async def test_an_actor_alone_is_ready_in_the_block_and_stopped_after_it(probe, autojump_clock):
    async with running(lambda: Clerk(probe.ref)) as clerk:
        await clerk.tell(Note("hello"))
        assert await probe.next() == Note("hello")
    assert not clerk.offer(Note("too late"))


@pytest.mark.parametrize(("text", "says"), [("crash", "as told"), ("beside", "beside"), ("badly ended", "no end")])
async def test_what_an_actor_alone_raises_comes_out_of_its_block(probe, text, says, autojump_clock):
    async def live() -> None:
        async with running(lambda: Clerk(probe.ref)) as clerk:
            await clerk.tell(Note(text))
            await trio.sleep(1)
            await clerk.tell(Note("it may live on"))

    with pytest.raises(ValueError, match=rf"^{says}$"):
        await live()


async def test_an_actor_alone_that_cannot_start_raises_before_its_block_is_entered(probe, autojump_clock):
    with pytest.raises(ValueError, match=r"^no start$"):
        async with running(lambda: Clerk(Ref("bad desk", probe.ref._mailbox))):
            raise AssertionError("the block is not entered")


async def test_a_crash_ends_the_block_at_once_and_the_ask_that_it_failed_gives_way_to_it(autojump_clock):
    async def live(deed: Callable[[Ref[Note | Double]], Awaitable[object]]) -> None:
        async with running(crash_at(1, Doubler)) as doubler:
            await deed(doubler)
            await trio.sleep_forever()

    with pytest.raises(InjectedCrash):
        await live(lambda doubler: doubler.ask(Double(1), timeout=60))
    with pytest.raises(InjectedCrash):
        await live(lambda doubler: doubler.tell(Note("x")))
    assert trio.current_time() < 1


async def test_an_error_of_the_block_itself_is_not_hidden_by_a_crash(autojump_clock):
    async def live() -> None:
        async with running(crash_at(1, Doubler)) as doubler:
            with pytest.raises(ActorStopped):
                await doubler.ask(Double(1), timeout=60)
            raise AssertionError("mine")

    with pytest.raises(AssertionError, match="mine") as caught:
        await live()
    assert "InjectedCrash" in caught.value.__notes__[0]
    with pytest.raises(AssertionError, match="no crash"):
        async with running(Doubler):
            raise AssertionError("no crash")


async def test_an_actor_alone_that_ends_well_is_not_started_again(probe, autojump_clock):
    async with running(lambda: Clerk(probe.ref), mailbox=Backpressure(3), name="clerk") as clerk:
        await clerk.tell(Note("stop"))
        await trio.sleep(10)
        with pytest.raises(ActorStopped, match="clerk"):
            await clerk.tell(Note("too late"))


async def test_an_actor_alone_that_does_not_stop_is_cancelled_after_its_grace(probe, autojump_clock):
    async with running(lambda: Clerk(probe.ref), shutdown=3) as clerk:
        await clerk.tell(Note("hang"))
        await trio.sleep(1)
    assert trio.current_time() == 3.25  # the last quarter is for cleaning up


async def test_one_that_cleans_nothing_up_has_all_of_its_grace_for_what_it_does(autojump_clock):
    class Sleeper(Actor[Note]):
        async def handle(self, message: Note) -> None:
            await trio.sleep_forever()

    async with running(Sleeper, shutdown=3) as sleeper:
        await sleeper.tell(Note("hang"))
        await trio.sleep(1)
    assert trio.current_time() == 4


async def test_a_block_that_is_cancelled_from_outside_ends_with_its_actor(probe, autojump_clock):
    before = trio.lowlevel.current_statistics().tasks_living
    with trio.move_on_after(1) as scope:
        async with running(lambda: Clerk(probe.ref)):
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert trio.lowlevel.current_statistics().tasks_living == before


# -- probes --


async def test_a_probe_keeps_everything_in_order_and_answers_by_its_script(probe, autojump_clock):
    probe.on(Double, lambda request: 2 * request.number)
    async with running(lambda: Clerk(probe.ref)) as clerk:
        assert await clerk.ask(Double(21), timeout=1) == 42
        await probe.ref.tell(Note("told"))
        probe.ref.offer_urgent(Note("urgent"))
        assert probe.received == [Double(21), Note("told"), Note("urgent")]
        assert [await probe.next() for _ in range(3)] == probe.received


async def test_a_script_that_raises_refuses(probe, autojump_clock):
    def refuse(request: Double) -> int:
        raise NotFound(f"no {request.number}")

    probe.on(Double, refuse)
    with pytest.raises(NotFound, match="no 3"):
        await probe.ref.ask(Double(3), timeout=1)


async def test_what_has_no_script_the_test_answers_itself_the_oldest_first(probe, nursery, autojump_clock):
    got: list[object] = []

    async def ask(number: int, seconds: float) -> None:
        try:
            got.append(await probe.ref.ask(Double(number), timeout=seconds))
        except (NotFound, AskTimeout) as error:
            got.append(type(error))

    for number, seconds in enumerate((1.0, 60.0, 60.0)):
        nursery.start_soon(ask, number, seconds)
        assert await probe.next() == Double(number)
    await trio.sleep(2)
    probe.answer("one")
    probe.fail(NotFound("two"))
    await trio.testing.wait_all_tasks_blocked()
    assert sorted(map(str, got)) == sorted(map(str, [AskTimeout, "one", NotFound]))
    with pytest.raises(AssertionError, match="desk has no request to answer"):
        probe.answer("nobody")


async def test_a_probe_that_hears_nothing_says_what_it_heard_until_then(probe, autojump_clock):
    probe.ref.offer(Note("one"))
    await probe.next()
    with pytest.raises(AssertionError, match=r"desk heard nothing more within 5 s; until then: \[Note\(text='one'\)\]"):
        await probe.next()
    assert trio.current_time() == 5


# -- crashes on purpose --


class Doubler(Actor[Note | Double]):
    handled: int = 0

    async def handle(self, message: Note | Double) -> object:
        Doubler.handled += 1
        return 2 * message.number if isinstance(message, Double) else None


@pytest.fixture(autouse=True)
def _none_handled():
    Doubler.handled = 0


@pytest.mark.parametrize("after", [False, True])
async def test_the_nth_message_kills_the_actor_once_over_all_its_incarnations(living, after, autojump_clock):
    child = Child("doubler", crash_at(3, Doubler, after=after))
    async with living(Group("root", [child])) as supervisor:
        for number in range(1, 6):
            if number == 3:
                with pytest.raises(ActorStopped):
                    await child.ref.ask(Double(number), timeout=60)
                await trio.sleep(1)
            else:
                assert await child.ref.ask(Double(number), timeout=60) == 2 * number
        (status,) = supervisor.statuses()
        assert (status.restarts, status.last_error.split(":")[0]) == (1, "InjectedCrash")
    assert Doubler.handled == 4 + after


async def test_crashes_by_chance_follow_from_the_random_that_is_handed_in(living, autojump_clock):
    child = Child("doubler", crash_by_chance(0.5, Random(3), Doubler))
    rolls = Random(3)
    expected = [rolls.random() < 0.5 for _ in range(20)]
    crashed = []
    async with living(Group("root", [child], intensity=Intensity(100, 1), backoff=Backoff(first=0.1, longest=0.1))):
        for number in range(20):
            try:
                await child.ref.ask(Double(number), timeout=60)
                crashed.append(False)
            except ActorStopped:
                crashed.append(True)
                await trio.sleep(1)
    assert crashed == expected
    assert True in expected
    assert False in expected


# -- seeded runs --


async def _race() -> tuple[list[int], float]:
    """In which order ten tasks of equal rank come to run, and what the clock says after a long sleep."""
    order: list[int] = []

    async def runner(number: int) -> None:
        for _ in range(3):
            await trio.lowlevel.checkpoint()
            order.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(runner, number)
    await trio.sleep(1000)
    return order, trio.current_time()


def test_the_same_seed_gives_the_same_schedule_and_another_seed_another():
    runs = [run_seeded(seed, _race) for seed in (1, 2, 1)]
    assert runs[0] == runs[2] != runs[1]
    assert runs[0][1] == 1000


def test_a_seeded_run_leaves_trio_as_it_was_also_when_it_fails():
    async def fail() -> None:
        raise ValueError("it failed")

    before = (scheduler._ALLOW_DETERMINISTIC_SCHEDULING, scheduler._r.getstate())
    with pytest.raises(ValueError, match="it failed"):
        run_seeded(1, fail)
    assert (scheduler._ALLOW_DETERMINISTIC_SCHEDULING, scheduler._r.getstate()) == before


def test_the_private_names_of_trio_that_a_seeded_run_needs_are_there_and_do_what_they_did():
    assert isinstance(scheduler._ALLOW_DETERMINISTIC_SCHEDULING, bool)
    assert isinstance(scheduler._r, Random)
    loop = scheduler.unrolled_run
    assert {"_r", "_ALLOW_DETERMINISTIC_SCHEDULING"} <= set(loop.__code__.co_names)
    assert loop.__globals__ is vars(scheduler)


class Quick(Actor[Note | Double]):
    """Answers and takes at once what is short."""

    batch = 3

    def answer(self, request: Note | Double) -> object:
        return 2 * request.number if isinstance(request, Double) and request.number < 10 else NotImplemented

    def take(self, message: Note | Double) -> bool:
        return isinstance(message, Note) and message.text == "short"

    async def handle(self, message: Note | Double) -> object:
        return 2 * message.number if isinstance(message, Double) else None


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("n", [1, 2, 3, 4])
async def test_a_crash_on_purpose_counts_also_what_is_answered_or_taken_at_once_and_each_once(n, after, living, autojump_clock):
    child = Child("quick", crash_at(n, Quick, after=after))
    async with living(Group("root", [child], backoff=Backoff(first=0))) as supervisor:
        crashed = []
        for send in (1, "short", 100, "a long note"):
            await wait_all_tasks_blocked()
            try:
                if isinstance(send, int):
                    assert await child.ref.ask(Double(send), timeout=1) == 2 * send
                else:
                    assert child.ref.offer(Note(send))
            except ActorStopped:
                pass
            await trio.sleep(1)
            crashed.append(supervisor.statuses()[0].restarts)
        assert crashed == [int(number >= n) for number in range(1, 5)]
        assert supervisor.statuses()[0].lost == 1


def test_one_that_crashes_on_purpose_has_the_ways_of_the_actor_within():
    fragile = crash_at(1, Quick)()
    assert (fragile.answers_at_once, fragile.takes_at_once, fragile.batch, fragile.cleans_up) == (True, True, 3, False)
    assert fragile.vocabulary is Quick.vocabulary
