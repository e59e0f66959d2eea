"""One actor: its life, its replies and refusals, what a crash does to messages, its tasks, and what it follows."""

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from arbiter.errors import ActorStopped, NotFound
from arbiter.runtime import (
    Actor,
    ActorStatus,
    Backoff,
    Child,
    Conflate,
    Group,
    Intensity,
    Message,
    ReplySlot,
    Request,
    Supervisor,
    Topic,
)
from arbiter.runtime.context import Context
from arbiter.runtime.mailbox import Backpressure, Mailbox
from arbiter.runtime.ref import Ref
from arbiter.runtime.statistics import Statistics


class Note(Message, frozen=True, tag=True):
    text: str


class Ask(Request[str], frozen=True, tag=True):
    text: str


Messages = Note | Ask


class Worker(Actor[Messages]):
    """What its words say: it waits, refuses, crashes, answers later, or echoes."""

    def __init__(self, studio: "Studio") -> None:
        self.studio = studio

    async def started(self) -> None:
        self.studio.seen.append("started")
        for action in self.studio.at_start:
            action(self.context)

    async def handle(self, message: Messages) -> object:
        self.studio.seen.append(message.text)
        match message.text.partition(" ")[0]:
            case "wait":
                await self.studio.gate.wait()
            case "crash":
                raise ValueError(message.text)
            case "group":
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(fail, "in a nursery")
            case "refuse":
                raise NotFound(message.text)
            case "later":
                self.studio.slots.append(self.context.answer_later())
            case "later-crash":
                self.studio.slots.append(self.context.answer_later())
                raise ValueError(message.text)
            case "later-refuse":
                self.studio.slots.append(self.context.answer_later())
                raise NotFound(message.text)
            case "wait-crash":
                await self.studio.gate.wait()
                raise ValueError(message.text)
            case "twice":
                self.context.answer_later()
                self.context.answer_later()
        return f"{message.text}!"

    async def stopped(self) -> None:
        self.studio.seen.append("stopped")
        await trio.sleep(self.studio.stop_seconds)
        self.studio.seen.append("cleaned up")


async def fail(text: str) -> None:
    raise ValueError(text)


class Studio:
    """A worker in a tree, and what it did."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.slots: list[ReplySlot] = []
        self.gate = trio.Event()
        self.at_start: list[Callable[[Context[Messages]], object]] = []
        self.stop_seconds = 0.0
        self.child = Child("worker", lambda: Worker(self))
        self.ref = self.child.ref
        self.group = Group("root", [self.child], intensity=Intensity(100, 5), backoff=Backoff(first=0.1))

    def ask(self, text: str, *, timeout: float = 60) -> Any:
        return self.ref.ask(Ask(text), timeout=timeout)

    async def back(self) -> bool:
        """Whether it answers once its cleaning up and its backoff are over."""
        await trio.sleep(1)
        return bool(await self.ask("back") == "back!")


def status_of(supervisor: Supervisor) -> ActorStatus:
    (status,) = supervisor.statuses()
    return status


@pytest.fixture
def studio() -> Studio:
    return Studio()


@pytest.fixture
def asked(nursery, studio) -> Callable[[str], list[Any]]:
    """Asks in a task of its own; the list gets the reply or the error."""

    def asked(text: str) -> list[Any]:
        outcome: list[Any] = []

        async def ask() -> None:
            try:
                outcome.append(await studio.ask(text))
            except Exception as error:  # noqa: BLE001 whatever it is, the test looks at it
                outcome.append(error)

        nursery.start_soon(ask)
        return outcome

    return asked


# -- life and replies --


async def test_an_actor_starts_handles_in_order_and_cleans_up_when_it_is_stopped(studio, living, autojump_clock):
    async with living(studio.group):
        await studio.ref.tell(Note("one"))
        await studio.ref.tell(Note("two"))
        await wait_all_tasks_blocked()
    assert studio.seen == ["started", "one", "two", "stopped", "cleaned up"]


async def test_what_handle_returns_is_the_reply(studio, living, autojump_clock):
    async with living(studio.group):
        assert await studio.ask("hello") == "hello!"


async def test_a_stop_overtakes_what_waits_and_finishes_the_message_in_hand(studio, living, autojump_clock):
    async with living(studio.group) as supervisor:
        for text in ("wait", "never"):
            await studio.ref.tell(Note(text))
        await wait_all_tasks_blocked()
        supervisor.stop()
        await wait_all_tasks_blocked()
        studio.gate.set()
    assert studio.seen == ["started", "wait", "stopped", "cleaned up"]


async def test_a_refusal_goes_to_the_asker_and_crashes_nobody(studio, living, autojump_clock):
    async with living(studio.group) as supervisor:
        with pytest.raises(NotFound, match="refuse this"):
            await studio.ask("refuse this")
        assert await studio.ask("still here") == "still here!"
        assert (status_of(supervisor).restarts, status_of(supervisor).last_error) == (0, "")


async def test_a_refusal_that_nobody_asked_for_is_a_crash(studio, living, autojump_clock):
    async with living(studio.group) as supervisor:
        await studio.ref.tell(Note("refuse a tell"))
        assert await studio.back()
        assert status_of(supervisor).last_error == "NotFound: refuse a tell"


# -- crashes --


async def test_at_a_crash_asks_in_hand_and_queued_fail_and_tells_survive_without_the_one_that_crashed(
    studio, living, asked, autojump_clock, logs
):
    async with living(studio.group) as supervisor:
        in_hand = asked("wait-crash")
        await wait_all_tasks_blocked()
        studio.ref.offer(Note("tell 1"))
        queued = asked("queued")
        await wait_all_tasks_blocked()
        studio.ref.offer(Note("tell 2"))
        studio.gate.set()
        await wait_all_tasks_blocked()
        for outcome in (in_hand, queued):
            assert isinstance(outcome[0], ActorStopped)
            assert outcome[0].actor == "worker"
        assert await studio.back()
        status = status_of(supervisor)
        assert (status.restarts, status.last_error) == (1, "ValueError: wait-crash")
        assert status.handled == 4
    assert studio.seen == [
        *("started", "wait-crash", "stopped", "cleaned up"),
        *("started", "tell 1", "tell 2", "back", "stopped", "cleaned up"),
    ]
    assert [entry["child"] for entry in logs if entry["event"] == "child crashed"] == ["root/worker"]


async def test_an_ask_that_waits_for_room_at_a_crash_is_delivered_to_the_next_incarnation(studio, living, asked, autojump_clock):
    studio.child = Child("worker", lambda: Worker(studio), mailbox=Backpressure(1))
    studio.ref = studio.child.ref
    studio.group.children = [studio.child]
    async with living(studio.group):
        in_hand, queued, waiting = [], [], []
        for text, outcomes in (("wait-crash", in_hand), ("queued", queued), ("waiting", waiting)):
            outcomes.append(asked(text))
            await wait_all_tasks_blocked()
        studio.gate.set()
        await trio.sleep(1)
        assert isinstance(in_hand[0][0], ActorStopped)
        assert isinstance(queued[0][0], ActorStopped)
        assert waiting == [["waiting!"]]


async def test_an_exception_group_of_a_nursery_in_the_handler_is_a_crash_told_by_its_single_error(studio, living, autojump_clock):
    async with living(studio.group) as supervisor:
        with pytest.raises(ActorStopped):
            await studio.ask("group")
        assert await studio.back()
        assert status_of(supervisor).last_error == "ValueError: in a nursery"


async def test_cleaning_up_runs_after_a_crash_too_and_no_longer_than_its_grace(studio, living, autojump_clock):
    studio.stop_seconds = 100
    async with living(studio.group) as supervisor:
        await studio.ref.tell(Note("crash"))
        await trio.sleep(1.9)
        assert (status_of(supervisor).state, status_of(supervisor).last_error) == ("running", "")
        await trio.sleep(0.11)
        assert (status_of(supervisor).state, status_of(supervisor).last_error) == ("backing_off", "ValueError: crash")
        studio.stop_seconds = 0
        assert await studio.back()
    assert studio.seen[:4] == ["started", "crash", "stopped", "started"]


# -- answering later --


async def test_an_answer_may_come_later_while_other_messages_are_handled(studio, living, asked, autojump_clock):
    async with living(studio.group):
        outcome = asked("later")
        await wait_all_tasks_blocked()
        assert await studio.ask("meanwhile") == "meanwhile!"
        assert outcome == []
        studio.slots[0].answer("at last")
        studio.slots[0].answer("a second answer is dropped")
        await wait_all_tasks_blocked()
        assert outcome == ["at last"]


async def test_a_late_failure_reaches_the_asker(studio, living, asked, autojump_clock):
    async with living(studio.group):
        outcome = asked("later")
        await wait_all_tasks_blocked()
        studio.slots[0].fail(NotFound("no such thing"))
        await wait_all_tasks_blocked()
        assert isinstance(outcome[0], NotFound)


@pytest.mark.parametrize("end", ["crash", "stop"])
async def test_what_is_owed_when_the_incarnation_ends_fails(studio, living, asked, autojump_clock, end):
    async with living(studio.group) as supervisor:
        owed, paid = asked("later 1"), asked("later 2")
        await wait_all_tasks_blocked()
        studio.slots[[text for text in studio.seen if text.startswith("later")].index("later 2")].answer("paid")
        if end == "crash":
            await studio.ref.tell(Note("crash"))
        else:
            supervisor.stop()
        await trio.sleep(1)
        assert isinstance(owed[0], ActorStopped)
        assert paid == ["paid"]
        studio.slots[0].answer("too late")


@pytest.mark.parametrize("text", ["later-crash", "later-refuse"])
async def test_a_crash_after_taking_over_the_answer_fails_the_ask(studio, living, autojump_clock, text):
    async with living(studio.group) as supervisor:
        with pytest.raises(ActorStopped):
            await studio.ask(text)
        assert await studio.back()
        assert status_of(supervisor).restarts == 1


async def test_a_late_answer_to_an_asker_that_left_is_dropped(studio, living, autojump_clock):
    async with living(studio.group) as supervisor:
        with trio.move_on_after(1):
            await studio.ask("later")
        assert studio.slots[0].answered
        studio.slots[0].answer("nobody hears this")
        assert await studio.ask("still here") == "still here!"
        assert status_of(supervisor).restarts == 0


async def test_only_a_request_in_hand_can_be_answered_later_and_only_once(studio, living, autojump_clock):
    async with living(studio.group) as supervisor:
        await studio.ref.tell(Note("later"))
        await trio.sleep(1)
        assert status_of(supervisor).last_error == "RuntimeError: worker has no request in hand"
        with pytest.raises(ActorStopped):
            await studio.ask("twice")
        assert await studio.back()


async def test_the_first_answer_of_a_slot_counts():
    slot = ReplySlot()
    slot.answer(1)
    slot.fail(NotFound("too late"))
    slot.answer(2)
    assert await slot.wait() == 1


async def test_a_slot_is_owed_only_for_as_long_as_somebody_waits_for_it():
    debts: set[ReplySlot] = set()
    answered, failed, left, over = (ReplySlot() for _ in range(4))
    over.answer("before anybody owed it")
    for slot in (answered, failed, left, over):
        slot.owe(debts)
    assert debts == {answered, failed, left}
    answered.answer(1)
    failed.fail(NotFound("no"))
    with trio.CancelScope() as scope:
        scope.cancel()
        await left.wait()
    assert debts == set()


# -- tasks beside the loop --


async def test_a_task_runs_beside_the_loop_and_dies_with_the_incarnation(studio, living, autojump_clock):
    alive: list[str] = []

    async def beat() -> None:
        alive.append("begun")
        try:
            await trio.sleep_forever()
        finally:
            alive.append("ended")

    studio.at_start.append(lambda context: context.start_task(beat))
    async with living(studio.group):
        assert await studio.ask("hello") == "hello!"
        assert alive == ["begun"]
        await studio.ref.tell(Note("crash"))
        await trio.sleep(1)
        assert alive == ["begun", "ended", "begun"]
    assert alive == ["begun", "ended", "begun", "ended"]


async def test_a_task_that_raises_crashes_the_incarnation_and_fails_the_ask_in_hand(studio, living, asked, autojump_clock):
    go = trio.Event()

    async def fail_on_go() -> None:
        await go.wait()
        if studio.seen.count("started") == 1:
            raise ValueError("beside")

    studio.at_start.append(lambda context: context.start_task(fail_on_go))
    async with living(studio.group) as supervisor:
        outcome = asked("wait")
        await wait_all_tasks_blocked()
        go.set()
        await trio.sleep(1)
        assert isinstance(outcome[0], ActorStopped)
        assert status_of(supervisor).last_error == "ValueError: beside"
        assert await studio.back()
    assert "cleaned up" in studio.seen


async def test_a_task_that_ends_is_no_end_of_the_actor(studio, living, autojump_clock):
    studio.at_start.append(lambda context: context.start_task(trio.sleep, 0.1))
    async with living(studio.group) as supervisor:
        await trio.sleep(1)
        assert await studio.ask("hello") == "hello!"
        assert status_of(supervisor).restarts == 0


def test_a_task_cannot_be_started_where_nothing_runs():
    mailbox = Mailbox("idle", Backpressure())
    context: Context[Note] = Context(Ref("idle", mailbox), (0,), mailbox, Statistics())
    with pytest.raises(RuntimeError, match="idle is not running"):
        context.start_task(trio.sleep_forever)


# -- fairness and numbers --


async def test_a_flooded_actor_lets_the_others_run(studio, living, autojump_clock):
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with living(studio.group):
        for _ in range(320):
            assert studio.ref.offer(Note("flood"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            assert await studio.ask("last") == "last!"
            assert turns >= 320 // 16 - 1
            nursery.cancel_scope.cancel()


async def test_numbers_count_over_all_incarnations(studio, living, autojump_clock):
    async with living(studio.group) as supervisor:
        await studio.ask("one")
        with pytest.raises(ActorStopped):
            await studio.ask("crash")
        await trio.sleep(1)
        await studio.ref.tell(Note("wait"))
        await trio.sleep(2)
        studio.ref.offer(Note("queued"))
        waiting = status_of(supervisor)
        studio.gate.set()
        await studio.ask("last")
        done = status_of(supervisor)
        assert (waiting.name, waiting.state, waiting.mailbox_depth, waiting.handled) == ("root/worker", "running", 1, 2)
        assert (done.mailbox_depth, done.handled) == (0, 5)
        assert done.longest_s == pytest.approx(2, abs=0.2)
        assert done.busy_s == pytest.approx(done.longest_s)


# -- following --


class Price(Message, frozen=True, tag=True):
    text: str


async def test_following_a_topic_delivers_snapshot_and_changes_and_again_to_the_next_incarnation(studio, living, autojump_clock):
    topic: Topic[str, Any] = Topic("prices")
    topic.publish("a", Note("a1"))
    studio.at_start.append(lambda context: context.follow(topic))
    async with living(studio.group):
        topic.publish("b", Note("b1"))
        await wait_all_tasks_blocked()
        assert studio.seen == ["started", "a1", "b1"]
        await studio.ref.tell(Note("crash"))
        await wait_all_tasks_blocked(0.01)
        assert topic.subscribers == 0
        await trio.sleep(1)
        topic.publish("a", Note("a2"))
        await wait_all_tasks_blocked()
        assert topic.subscribers == 1
        assert studio.seen[6:] == ["started", "a1", "b1", "a2"]
    assert topic.subscribers == 0


async def test_following_a_key_hears_of_that_key_alone_and_may_end_before_the_incarnation(studio, living, autojump_clock):
    topic: Topic[str, Any] = Topic("prices")
    topic.publish("a", Note("a1"))
    topic.publish("b", Note("b1"))
    stops: list[Callable[[], None]] = []
    studio.at_start.append(lambda context: stops.append(context.follow_key(topic, "a")))
    studio.at_start.append(lambda context: stops.append(context.follow_key(topic, "c")))
    async with living(studio.group):
        topic.publish("a", Note("a2"))
        topic.publish("b", Note("b2"))
        await wait_all_tasks_blocked()
        stops[0]()
        stops[0]()
        topic.publish("a", Note("a3"))
        topic.publish("c", Note("c1"))
        await wait_all_tasks_blocked()
        assert studio.seen == ["started", "a1", "a2", "c1"]
        assert topic.subscribers == 1
    assert topic.subscribers == 0


async def test_an_actor_that_fails_to_start_leaves_no_subscription(studio, environment, autojump_clock):
    topic: Topic[str, Any] = Topic("prices")

    def follow_and_fail(context: Context[Messages]) -> None:
        context.follow(topic)
        context.follow_key(topic, "a")
        raise ValueError("no start")

    studio.at_start.append(follow_and_fail)
    with pytest.raises(Exception, match="no start"):
        await Supervisor(studio.group, environment).run()
    assert topic.subscribers == 0


async def test_a_conflating_follower_handles_the_newest_when_it_was_slow(studio, living, autojump_clock):
    topic: Topic[str, Any] = Topic("prices")
    studio.child = Child("worker", lambda: Worker(studio), mailbox=Conflate(lambda message: message.text[:1]))
    studio.ref = studio.child.ref
    studio.group.children = [studio.child]
    studio.at_start.append(lambda context: context.follow(topic))
    async with living(studio.group):
        topic.publish("w", Note("wait"))
        await wait_all_tasks_blocked()
        for number in range(5):
            topic.publish("a", Note(f"a{number}"))
            topic.publish("b", Note(f"b{number}"))
        studio.gate.set()
        await wait_all_tasks_blocked()
        assert studio.seen == ["started", "wait", "a4", "b4"]


@pytest.mark.parametrize("how", ["follow", "follow_key"])
async def test_a_follower_whose_mailbox_is_full_gets_the_newest_of_each_key_as_soon_as_there_is_room(how, studio, living, autojump_clock):
    topic: Topic[str, Any] = Topic("prices")
    studio.child = Child("worker", lambda: Worker(studio), mailbox=Backpressure(1))
    studio.ref = studio.child.ref
    studio.group.children = [studio.child]
    for key in ("w", "a", "b"):
        studio.at_start.append(lambda context, key=key: context.follow_key(topic, key))
    if how == "follow":
        studio.at_start = [lambda context: context.follow(topic)]
    async with living(studio.group):
        topic.publish("w", Note("wait"))
        await wait_all_tasks_blocked()
        for number in range(5):
            topic.publish("a", Note(f"a{number}"))
            topic.publish("b", Note(f"b{number}"))
            await wait_all_tasks_blocked()
        studio.gate.set()
        await wait_all_tasks_blocked()
        seen = studio.seen[2:]
        for key in "ab":
            of_key = [each for each in seen if each.startswith(key)]
            assert of_key == sorted(set(of_key)), seen
            assert of_key[-1] == f"{key}4"
        assert len(seen) < 10
        topic.publish("a", Note("a5"))
        await wait_all_tasks_blocked()
        assert studio.seen[-1] == "a5"


async def test_what_is_late_for_a_follower_dies_with_the_incarnation_and_comes_back_as_its_snapshot(studio, living, autojump_clock):
    topic: Topic[str, Any] = Topic("prices")
    studio.child = Child("worker", lambda: Worker(studio), mailbox=Backpressure(1))
    studio.ref = studio.child.ref
    studio.group.children = [studio.child]
    studio.at_start.append(lambda context: context.follow(topic))
    async with living(studio.group):
        topic.publish_passing("w", Note("wait"))
        await wait_all_tasks_blocked()
        for event in ("crash", "a", "b"):
            topic.publish_passing("x", Note(event)) if event == "crash" else topic.publish(event, Note(event))
        studio.gate.set()
        await wait_all_tasks_blocked(0.01)
        await trio.sleep(1)
        after = studio.seen[studio.seen.index("started", 1) :]
        assert sorted(set(after[1:])) == ["a", "b"], studio.seen
