"""Refs: tell, offer and ask, their deadlines, and the direction in which one may wait."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from arbiter.errors import ActorStopped, AskTimeout
from arbiter.runtime import Actor, Backpressure, Child, DirectionError, DynamicGroup, Group, MailboxFull, Message, Ref, Request


class Note(Message, frozen=True, tag=True):
    text: str


class Double(Request[int], frozen=True, tag=True):
    number: int


class Desk(Actor[Note | Double]):
    """Notes what it is told and doubles what it is asked, once its gate is open."""

    def __init__(self, gate: trio.Event, seen: list[str]) -> None:
        self.gate = gate
        self.seen = seen

    async def handle(self, message: Note | Double) -> object:
        await self.gate.wait()
        if isinstance(message, Note):
            self.seen.append(message.text)
            return None
        self.seen.append(f"double {message.number}")
        return 2 * message.number


class Doer(Actor[Note | Double]):
    """Does what the test hands in, once, in its own task or in a child task; `outcome` is how it ended."""

    def __init__(self, deed: Callable[[], Awaitable[object]], outcome: list[object], *, beside: bool = False) -> None:
        self.deed = deed
        self.outcome = outcome
        self.beside = beside

    async def started(self) -> None:
        if self.beside:
            self.context.start_task(self._do)
        else:
            await self._do()

    async def _do(self) -> None:
        try:
            self.outcome.append(await self.deed())
        except Exception as error:  # noqa: BLE001 whatever it is, the test looks at it
            self.outcome.append(error)


class World:
    """A desk whose gate the test opens."""

    def __init__(self, capacity: int = 2) -> None:
        self.gate = trio.Event()
        self.seen: list[str] = []
        self.child = Child("desk", lambda: Desk(self.gate, self.seen), mailbox=Backpressure(capacity))
        self.ref: Ref[Note | Double] = self.child.ref


@pytest.fixture
def world() -> World:
    return World()


async def fill(world: World) -> None:
    """One message in hand, and no more room."""
    assert world.ref.offer(Note("in hand"))
    await wait_all_tasks_blocked()
    while world.ref.offer(Note("waiting")):
        pass


# -- tell and offer --


async def test_a_tell_waits_for_room_and_arrives_in_order(world, living, nursery):
    async with living(Group("root", [world.child])):
        await fill(world)
        nursery.start_soon(world.ref.tell, Note("told"))
        await wait_all_tasks_blocked()
        assert len(world.child.mailbox) == 2
        world.gate.set()
        await wait_all_tasks_blocked()
    assert world.seen == ["in hand", "waiting", "waiting", "told"]


async def test_an_offer_never_waits_and_says_whether_it_was_taken(world, living):
    async with living(Group("root", [world.child])):
        await fill(world)
        assert not world.ref.offer(Note("too much"))
        world.gate.set()
        await wait_all_tasks_blocked()
        assert world.ref.offer(Note("again"))
        await wait_all_tasks_blocked()
    assert world.seen == ["in hand", "waiting", "waiting", "again"]


async def test_an_urgent_offer_overtakes_what_waits_and_shows_when_its_lane_is_full(world, living):
    async with living(Group("root", [world.child])):
        await fill(world)
        world.ref.offer_urgent(Note("halt"))
        for _ in range(63):
            world.ref.offer_urgent(Note("more"))
        with pytest.raises(MailboxFull):
            world.ref.offer_urgent(Note("too many"))
        world.gate.set()
        await wait_all_tasks_blocked()
    assert world.seen[:3] == ["in hand", "halt", "more"]
    assert world.seen[-2:] == ["waiting", "waiting"]


async def test_messages_wait_for_an_actor_that_is_not_started_yet(world, living):
    world.gate.set()
    await world.ref.tell(Note("early"))
    async with living(Group("root", [world.child])):
        assert await world.ref.ask(Double(1), timeout=1) == 2
    assert world.seen == ["early", "double 1"]


# -- ask --


async def test_an_ask_gets_what_the_handler_returned(world, living):
    world.gate.set()
    async with living(Group("root", [world.child])):
        assert await world.ref.ask(Double(21), timeout=1) == 42


async def test_an_ask_ends_at_its_deadline_and_its_late_reply_is_dropped(world, living, autojump_clock):
    async with living(Group("root", [world.child])):
        with pytest.raises(AskTimeout) as caught:
            await world.ref.ask(Double(1), timeout=5)
        assert trio.current_time() == 5
        assert (caught.value.actor, caught.value.seconds) == ("desk", 5)
        world.gate.set()
        assert await world.ref.ask(Double(2), timeout=1) == 4
    assert world.seen == ["double 1", "double 2"]


async def test_the_deadline_of_an_ask_counts_the_wait_for_room_too(world, living, autojump_clock):
    async with living(Group("root", [world.child])):
        await fill(world)
        with pytest.raises(AskTimeout):
            await world.ref.ask(Double(1), timeout=5)
        assert trio.current_time() == 5
        world.gate.set()
        await wait_all_tasks_blocked()
    assert "double 1" not in world.seen


async def test_an_asker_cancelled_while_it_waits_for_room_leaves_no_message_and_takes_no_room(world, living, nursery):
    scope = trio.CancelScope()

    async def give_up() -> None:
        with scope:
            await world.ref.ask(Double(1), timeout=60)

    async with living(Group("root", [world.child])):
        await fill(world)
        nursery.start_soon(give_up)
        await wait_all_tasks_blocked()
        nursery.start_soon(world.ref.tell, Note("after"))
        await wait_all_tasks_blocked()
        scope.cancel()
        await wait_all_tasks_blocked()
        world.gate.set()
        await wait_all_tasks_blocked()
        assert len(world.child.mailbox) == 0
    assert scope.cancelled_caught
    assert world.seen == ["in hand", "waiting", "waiting", "after"]


async def test_an_asker_cancelled_in_the_instant_it_gets_room_leaves_a_working_actor(world, living, nursery):
    scope = trio.CancelScope()

    async def give_up() -> None:
        with scope:
            await world.ref.ask(Double(1), timeout=60)

    async with living(Group("root", [world.child])):
        await fill(world)
        nursery.start_soon(give_up)
        await wait_all_tasks_blocked()
        world.gate.set()
        await trio.lowlevel.checkpoint()
        scope.cancel()
        assert await world.ref.ask(Double(2), timeout=60) == 4
        assert len(world.child.mailbox) == 0


async def test_a_request_whose_asker_left_is_still_handled_and_its_reply_dropped(world, living, nursery):
    scope = trio.CancelScope()

    async def ask() -> None:
        with scope:
            await world.ref.ask(Double(1), timeout=60)

    async with living(Group("root", [world.child])) as supervisor:
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        scope.cancel()
        await wait_all_tasks_blocked()
        world.gate.set()
        assert await world.ref.ask(Double(2), timeout=60) == 4
        (status,) = supervisor.statuses()
        assert (status.restarts, status.last_error) == (0, "")
    assert world.seen == ["double 1", "double 2"]


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
async def test_an_ask_without_a_deadline_is_refused_at_the_call(world, living, seconds):
    async with living(Group("root", [world.child])):
        for _ in range(2):
            with pytest.raises(ValueError, match="an ask has a deadline"):
                await world.ref.ask(Double(1), timeout=seconds)
        assert len(world.child.mailbox) == 0
    assert world.seen == []


@pytest.mark.parametrize("message", ["text", None, 7, Note, Double(1)], ids=["text", "nothing", "number", "class", "request"])
async def test_what_is_no_message_is_refused_when_it_is_told(world, message):
    says = "is a request: ask it" if isinstance(message, Double) else r"is no arbiter\.runtime\.Message"
    with pytest.raises(TypeError, match=says):
        await world.ref.tell(message)
    with pytest.raises(TypeError, match=says):
        world.ref.offer(message)
    with pytest.raises(TypeError, match=says):
        world.ref.offer_urgent(message)
    assert len(world.child.mailbox) == 0


@pytest.mark.parametrize("request_", ["text", None, Double, Note("x")], ids=["text", "nothing", "class", "message"])
async def test_what_is_no_request_is_refused_when_it_is_asked(world, request_):
    says = "without a reply" if isinstance(request_, Note) else r"is no arbiter\.runtime\.Request"
    with pytest.raises(TypeError, match=says):
        await world.ref.ask(request_, timeout=1)
    assert len(world.child.mailbox) == 0


async def test_after_the_tree_is_gone_a_waiting_send_says_so_at_once(world, living, nursery):
    told: list[str] = []

    async def wait_for_room() -> None:
        with pytest.raises(ActorStopped) as caught:
            await world.ref.tell(Note("never"))
        told.append(caught.value.actor)

    async with living(Group("root", [Group("inner", [world.child])])):
        world.gate.set()
    for text in ("a", "b"):
        assert not world.ref.offer(Note(text))
    nursery.start_soon(wait_for_room)
    await wait_all_tasks_blocked()
    assert told == ["inner/desk"]
    with pytest.raises(ActorStopped):
        await world.ref.ask(Double(1), timeout=60)


async def test_a_writer_that_waits_for_room_when_the_tree_ends_is_told(world, living, nursery, autojump_clock):
    told: list[str] = []

    async def wait_for_room() -> None:
        with pytest.raises(ActorStopped):
            await world.ref.ask(Double(1), timeout=600)
        told.append("stopped")

    async with living(Group("root", [world.child])):
        await fill(world)
        nursery.start_soon(wait_for_room)
        await wait_all_tasks_blocked()
    await wait_all_tasks_blocked()
    assert told == ["stopped"]
    assert trio.current_time() < 10


# -- direction --


def doer(name: str, deed: Callable[[], Awaitable[object]], outcome: list[object], *, beside: bool = False) -> Child[Note]:
    return Child(name, lambda: Doer(deed, outcome, beside=beside))


@pytest.mark.parametrize("beside", [False, True], ids=["in its own task", "in a child task"])
@pytest.mark.parametrize("verb", ["tell", "ask"])
async def test_an_actor_may_not_wait_for_one_that_stands_later(world, living, verb, beside):
    outcome: list[Any] = []

    async def deed() -> object:
        return await (world.ref.tell(Note("x")) if verb == "tell" else world.ref.ask(Double(1), timeout=1))

    async with living(Group("root", [Group("a", [doer("early", deed, outcome, beside=beside)]), world.child])):
        await wait_all_tasks_blocked()
        assert len(world.child.mailbox) == 0
    (error,) = outcome
    assert isinstance(error, DirectionError)
    assert str(error).startswith(f"a/early may not {verb} desk")


@pytest.mark.parametrize("verb", ["tell", "ask"])
async def test_an_actor_may_not_wait_for_itself(living, verb):
    outcome: list[Any] = []
    ref: Any

    async def deed() -> object:
        return await (ref.tell(Note("to myself")) if verb == "tell" else ref.ask(Double(1), timeout=1))

    child: Child[Note] = doer("self", deed, outcome)
    ref = child.ref
    async with living(Group("root", [child])):
        pass
    assert isinstance(outcome[0], DirectionError)
    assert str(outcome[0]).startswith(f"self may not {verb} self")


@pytest.mark.parametrize("beside", [False, True], ids=["in its own task", "in a child task"])
async def test_an_actor_may_wait_for_one_that_stands_earlier_at_any_depth(world, living, beside):
    world.gate.set()
    outcome: list[Any] = []
    late = doer("late", lambda: world.ref.ask(Double(4), timeout=1), outcome, beside=beside)
    async with living(Group("root", [Group("a", [Group("b", [world.child])]), Group("c", [late])])):
        await wait_all_tasks_blocked()
    assert outcome == [8]


async def test_news_by_offer_goes_in_any_direction(world, living):
    world.gate.set()
    outcome: list[Any] = []

    async def deed() -> object:
        world.ref.offer_urgent(Note("urgent news"))
        return world.ref.offer(Note("news"))

    async with living(Group("root", [doer("early", deed, outcome), world.child])):
        await wait_all_tasks_blocked()
    assert outcome == [True]
    assert world.seen == ["urgent news", "news"]


async def test_an_actor_started_on_demand_by_another_sends_from_its_own_place(world, living):
    world.gate.set()
    outcome: list[Any] = []
    sessions: DynamicGroup[Note] = DynamicGroup("sessions", lambda key: doer(key, lambda: world.ref.ask(Double(5), timeout=1), outcome))

    async def start_session() -> object:
        return sessions.ref("alice").name

    early = Child("early", lambda: Starter(start_session))
    async with living(Group("root", [early, world.child, sessions])):
        early.ref.offer(Note("go"))
        await wait_all_tasks_blocked()
    assert outcome == [10]


class Starter(Actor[Note]):
    def __init__(self, deed: Callable[[], Awaitable[object]]) -> None:
        self.deed = deed

    async def handle(self, message: Note) -> object:
        return await self.deed()
