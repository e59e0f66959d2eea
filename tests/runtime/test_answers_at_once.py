"""Requests that an idle actor answers at once, in the asker's task."""

from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from arbiter.errors import ActorStopped, NotFound
from arbiter.runtime import Actor, Backoff, Child, Group, Intensity, Message, Request
from arbiter.runtime.turns import IN_A_ROW


class Add(Message, frozen=True, tag=True):
    number: int


class Rest(Message, frozen=True, tag=True):
    seconds: float


class GetSum(Request[int], frozen=True, tag=True):
    """Answered at once."""


class GetSumLater(Request[int], frozen=True, tag=True):
    """Left to the mailbox."""


class Refuse(Request[int], frozen=True, tag=True):
    """Refused at once."""


class Break(Request[int], frozen=True, tag=True):
    """A fault while answering at once."""


class Adder(Actor[Any]):
    """Adds; remembers which way each request came."""

    ways: list[str]

    def __init__(self) -> None:
        self.sum = 0

    def answer(self, request: Any) -> object:
        match request:
            case GetSum():
                self.ways.append("at once")
                return self.sum
            case Refuse():
                raise NotFound("nothing here")
            case Break():
                raise ZeroDivisionError("a fault on purpose")
        return NotImplemented

    async def handle(self, message: Any) -> object:
        match message:
            case Add(number):
                self.sum += number
            case Rest(seconds):
                await trio.sleep(seconds)
            case GetSum() | GetSumLater():
                self.ways.append("in its turn")
                return self.sum
        return None


@pytest.fixture
def adder() -> Child[Any]:
    Adder.ways = []
    return Child("adder", Adder)


@pytest.fixture
def tree(adder: Child[Any]) -> Group:
    return Group("root", [adder], intensity=Intensity(100, 1), backoff=Backoff(first=0))


async def test_an_idle_actor_answers_at_once(adder, tree, living, autojump_clock):
    async with living(tree):
        await wait_all_tasks_blocked()
        assert await adder.ref.ask(GetSum(), timeout=1) == 0
        assert await adder.ref.ask(GetSumLater(), timeout=1) == 0
        assert Adder.ways == ["at once", "in its turn"]


async def test_what_was_told_before_is_handled_before(adder, tree, living, autojump_clock):
    async with living(tree):
        for number in range(1, 4):
            await adder.ref.tell(Add(number))
        assert await adder.ref.ask(GetSum(), timeout=1) == 6
        assert Adder.ways == ["in its turn"]


async def test_an_actor_that_waits_in_a_handler_is_not_asked_meanwhile(adder, tree, living, autojump_clock):
    async with living(tree):
        await adder.ref.tell(Rest(1))
        await wait_all_tasks_blocked()
        began = trio.current_time()
        assert await adder.ref.ask(GetSum(), timeout=5) == 0
        assert trio.current_time() == began + 1
        assert Adder.ways == ["in its turn"]


async def test_a_refusal_at_once_goes_to_the_asker_and_crashes_nobody(adder, tree, living, autojump_clock):
    async with living(tree) as supervisor:
        await adder.ref.tell(Add(1))
        await wait_all_tasks_blocked()
        with pytest.raises(NotFound):
            await adder.ref.ask(Refuse(), timeout=1)
        assert await adder.ref.ask(GetSum(), timeout=1) == 1
        assert supervisor.statuses()[0].restarts == 0


async def test_a_fault_while_answering_at_once_is_the_actors_crash_and_the_asker_learns_that_it_stopped(
    adder, tree, living, autojump_clock
):
    async with living(tree) as supervisor:
        await adder.ref.tell(Add(1))
        await wait_all_tasks_blocked()
        with pytest.raises(ActorStopped):
            await adder.ref.ask(Break(), timeout=1)
        await trio.sleep(1)
        (status,) = supervisor.statuses()
        assert (status.restarts, status.last_error) == (1, "ZeroDivisionError: a fault on purpose")
        assert await adder.ref.ask(GetSum(), timeout=1) == 0


async def test_whoever_asks_in_a_loop_lets_the_others_have_their_turn(adder, tree, living, autojump_clock):
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with living(tree), trio.open_nursery() as nursery:
        nursery.start_soon(other)
        for _ in range(10 * IN_A_ROW):
            await adder.ref.ask(GetSum(), timeout=1)
        assert turns >= 5
        nursery.cancel_scope.cancel()


async def test_a_cancelled_asker_is_not_answered(adder, tree, living, autojump_clock):
    async with living(tree):
        await wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            scope.cancel()
            await adder.ref.ask(GetSum(), timeout=1)
        assert scope.cancelled_caught
        assert Adder.ways == []


async def test_requests_answered_at_once_are_counted_too(adder, tree, living, autojump_clock):
    async with living(tree) as supervisor:
        await wait_all_tasks_blocked()
        await adder.ref.ask(GetSum(), timeout=1)
        assert supervisor.statuses()[0].handled == 1


class Urge(Message, frozen=True, tag=True):
    """Taken at once; raises where it says so."""

    text: str
    fault: bool = False


class Again(Message, frozen=True, tag=True):
    """Taken at once; offers itself two more."""


class Taker(Actor[Any]):
    """Writes down what it handled and which way it came."""

    story: list[str]
    ref: Any

    def take(self, message: Any) -> bool:
        match message:
            case Urge(text, fault):
                if fault:
                    raise ZeroDivisionError("a fault on purpose")
                self.story.append(f"{text} at once")
                return True
            case Again():
                self.story.append("again begins")
                self.context.ref.offer(Urge("one"))
                self.context.ref.offer(Urge("two"))
                self.story.append("again ends")
                return True
        return False

    async def handle(self, message: Any) -> object:
        match message:
            case Urge(text):
                self.story.append(f"{text} in its turn")
            case Rest(seconds):
                await trio.sleep(seconds)
        return None


@pytest.fixture
def taker() -> Child[Any]:
    Taker.story = []
    return Child("taker", Taker)


async def test_an_idle_actor_takes_an_offer_at_once_and_a_busy_one_in_its_turn(taker, living, autojump_clock):
    async with living(Group("root", [taker])) as supervisor:
        await wait_all_tasks_blocked()
        assert taker.ref.offer(Urge("a"))
        assert Taker.story == ["a at once"]
        taker.ref.offer(Rest(1))
        await wait_all_tasks_blocked()
        taker.ref.offer(Urge("b"))
        taker.ref.offer(Urge("c"))
        assert Taker.story == ["a at once"]
        await trio.sleep(2)
        assert Taker.story == ["a at once", "b in its turn", "c in its turn"]
        assert supervisor.statuses()[0].handled == 4


async def test_what_an_actor_offers_itself_while_it_takes_waits_for_its_turn(taker, living, autojump_clock):
    async with living(Group("root", [taker])):
        await wait_all_tasks_blocked()
        taker.ref.offer(Again())
        assert Taker.story == ["again begins", "again ends"]
        await wait_all_tasks_blocked()
        assert Taker.story[2:] == ["one in its turn", "two in its turn"]
        taker.ref.offer(Urge("a"))
        assert Taker.story[-1] == "a at once"


async def test_a_fault_while_taking_is_the_actors_crash_and_nothing_to_who_offered(taker, living, autojump_clock):
    tree = Group("root", [taker], intensity=Intensity(100, 1), backoff=Backoff(first=0))
    async with living(tree) as supervisor:
        await wait_all_tasks_blocked()
        assert taker.ref.offer(Urge("a", fault=True))
        assert taker.ref.offer(Urge("b"))
        await trio.sleep(1)
        (status,) = supervisor.statuses()
        assert (status.restarts, status.last_error) == (1, "ZeroDivisionError: a fault on purpose")
        assert Taker.story == ["b in its turn"]
