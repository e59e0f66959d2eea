"""What an incarnation's own timers, topics and tasks bring dies with it, and what a call made live is not that call's for ever."""

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from arbiter.runtime import (
    Actor,
    Backoff,
    Backpressure,
    Child,
    Conflate,
    DirectionError,
    DropOldest,
    DynamicGroup,
    Group,
    Message,
    Ref,
    Request,
    Topic,
    caused_by,
    correlation,
)


class Note(Message, frozen=True, tag=True):
    text: str


class Look(Request[None], frozen=True, tag=True):
    pass


class Diary(Actor[Note]):
    """Writes down what comes, with its incarnation; does what the page says for a word."""

    def __init__(self, page: "Page") -> None:
        self.page = page

    async def started(self) -> None:
        self.page.lives += 1
        for action in self.page.at_start:
            action(self)

    async def handle(self, message: Note) -> object:
        self.page.came.append((self.page.lives, message.text))
        if message.text in self.page.does:
            self.page.does[message.text](self)
        if message.text == "work":
            await trio.sleep(5)
        if message.text == "work and crash":
            await trio.sleep(5)
            raise ValueError("as told")
        return None


class Page:
    def __init__(self) -> None:
        self.lives = 0
        self.came: list[tuple[int, str]] = []
        self.at_start: list[Callable[[Diary], object]] = []
        self.does: dict[str, Callable[[Diary], object]] = {}

    def child(self, mailbox: Any = None) -> Child[Note]:
        return Child("diary", lambda: Diary(self), mailbox=mailbox)

    def first_life(self, action: Callable[[Diary], object]) -> None:
        self.at_start.append(lambda diary: action(diary) if self.lives == 1 else None)


@pytest.fixture
def page() -> Page:
    return Page()


MAILBOXES = pytest.mark.parametrize(
    "mailbox", [Backpressure(5), DropOldest(5), Conflate(lambda m: m.text, 5)], ids=lambda m: type(m).__name__
)


# -- timers --


@MAILBOXES
async def test_a_timers_message_that_waits_when_its_incarnation_crashes_does_not_come_to_the_next(page, mailbox, living, autojump_clock):
    child = page.child(mailbox)
    page.first_life(lambda diary: diary.context.send_after(1, Note("of the first life")))
    async with living(Group("root", [child], backoff=Backoff(first=0))):
        child.ref.offer(Note("work and crash"))
        await trio.sleep(2)
        child.ref.offer(Note("told"))
        await trio.sleep(50)
    assert page.came == [(1, "work and crash"), (2, "told")]


@MAILBOXES
async def test_a_timer_that_is_cancelled_does_not_come_where_its_message_waits_already(page, mailbox, living, autojump_clock):
    child = page.child(mailbox)
    timers: list[Any] = []
    page.first_life(lambda diary: timers.append(diary.context.send_every(1, Note("tick"))))
    async with living(Group("root", [child])):
        child.ref.offer(Note("work"))
        await trio.sleep(2)
        timers[0].cancel()
        await trio.sleep(50)
    assert page.came == [(1, "work")]


async def test_a_timer_that_waited_for_room_at_a_crash_leaves_the_room_to_others(page, living, autojump_clock):
    child = page.child(Backpressure(1))
    page.first_life(lambda diary: diary.context.send_every(1, Note("tick")))
    async with living(Group("root", [child], backoff=Backoff(first=0))):
        child.ref.offer(Note("work and crash"))
        await trio.sleep(3)
        with trio.fail_after(10):
            await child.ref.tell(Note("told"))
        await trio.sleep(50)
    assert page.came == [(1, "work and crash"), (2, "told")]


# -- topics --


@MAILBOXES
@pytest.mark.parametrize("how", ["follow", "follow_key"])
async def test_changes_that_waited_for_a_crashed_incarnation_do_not_come_beside_the_snapshot_of_the_next(
    page, mailbox, how, living, autojump_clock
):
    topic: Topic[str, Note] = Topic("prices")
    child = page.child(mailbox)
    page.at_start.append(lambda diary: diary.context.follow(topic) if how == "follow" else diary.context.follow_key(topic, "k"))
    async with living(Group("root", [child], backoff=Backoff(first=0))):
        child.ref.offer(Note("work and crash"))
        await wait_all_tasks_blocked()
        for number in range(4):
            topic.publish("k", Note(f"k{number}"))
        child.ref.offer(Note("told"))
        await trio.sleep(50)
    assert sorted(page.came) == [(1, "work and crash"), (2, "k3"), (2, "told")]


async def test_a_key_that_is_followed_no_longer_brings_nothing_more(page, living, autojump_clock):
    topic: Topic[str, Note] = Topic("prices")
    child = page.child()
    stops: list[Callable[[], None]] = []
    page.first_life(lambda diary: stops.append(diary.context.follow_key(topic, "k")))
    async with living(Group("root", [child])):
        child.ref.offer(Note("work"))
        await wait_all_tasks_blocked()
        topic.publish("k", Note("k1"))
        stops[0]()
        await trio.sleep(50)
    assert page.came == [(1, "work")]


def no_key(message: Note) -> str:
    if message.text == "no key":
        raise KeyError("no key")
    return message.text


def picky(before: Note, now: Note) -> bool:
    if now.text == "no key":
        raise KeyError("no key")
    return True


@pytest.mark.parametrize("how", ["follow", "follow_key", "when"])
async def test_a_followers_fault_is_its_own_crash_and_neither_the_publishers_nor_the_others(page, how, living, autojump_clock):
    topic: Topic[str, Note] = Topic("prices")
    child = page.child(Backpressure(9) if how == "when" else Conflate(no_key))
    follow = {
        "follow": lambda diary: diary.context.follow(topic),
        "follow_key": lambda diary: diary.context.follow_key(topic, "k"),
        "when": lambda diary: diary.context.follow_key(topic, "k", picky),
    }
    page.at_start.append(follow[how])
    heard: list[Note] = []
    topic.publish("k", Note("k0"))
    async with living(Group("root", [child], backoff=Backoff(first=1))) as supervisor:
        await wait_all_tasks_blocked()
        with topic.deliver_key_to("k", heard.append), topic.deliver_to(heard.append):
            topic.publish("k", Note("no key"))
            topic.publish("k", Note("k1"))
            await trio.sleep(2)
        (status,) = supervisor.statuses()
        assert (status.restarts, status.last_error) == (1, "KeyError: 'no key'")
    assert [each.text for each in heard] == ["k0", "k0", "no key", "no key", "k1", "k1"]
    assert page.came == [(1, "k0"), (2, "k1")]


# -- in the task of another --


async def test_one_that_fails_at_its_first_event_does_not_follow(page, living, autojump_clock):
    topic: Topic[str, Note] = Topic("notes")
    topic.publish("k", Note("no key"))
    raised: list[Exception] = []

    def follow(diary: Diary) -> None:
        try:
            diary.context.follow_key(topic, "k")
        except KeyError as error:
            raised.append(error)

    page.at_start.append(follow)
    async with living(Group("root", [page.child(Conflate(no_key))])):
        assert len(raised) == 1
        assert topic.subscribers == 0


class Quick(Actor[Note | Look]):
    """Starts a task at once, in the task of who offers or asks."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work

    def take(self, message: Note | Look) -> bool:
        self.context.start_task(self.work)
        return True

    def answer(self, request: Note | Look) -> object:
        self.context.start_task(self.work)
        return None


class Caller(Actor[Note]):
    def __init__(self, quick: Ref[Note | Look], *, asks: bool) -> None:
        self.quick = quick
        self.asks = asks

    async def handle(self, message: Note) -> object:
        if self.asks:
            await self.quick.ask(Look(), timeout=1)
        else:
            self.quick.offer(Note("now"))
        return None


@pytest.mark.parametrize("asks", [False, True])
async def test_a_task_started_while_taking_or_answering_at_once_may_wait_for_those_that_its_actor_may_wait_for(
    page, asks, living, autojump_clock
):
    told: list[object] = []

    async def work() -> None:
        for ref in (first.ref, last.ref):
            try:
                told.append(await ref.tell(Note("from the task")))
            except DirectionError:
                told.append("refused")

    first, last = page.child(), Child("last", lambda: Diary(page))
    quick: Child[Note | Look] = Child("quick", lambda: Quick(work))
    caller = Child("caller", lambda: Caller(quick.ref, asks=asks))
    async with living(Group("root", [first, quick, last, caller])):
        await wait_all_tasks_blocked()
        await caller.ref.tell(Note("go"))
        await trio.sleep(1)
    assert told == [None, "refused"]


# -- causes --


@pytest.mark.parametrize("how", ["ref", "start", "revival", "crash"])
async def test_what_a_call_made_live_works_for_nobody_until_it_has_a_message(page, how, living, autojump_clock):
    seen: list[str] = []

    async def beside() -> None:
        while True:
            await trio.sleep(10)
            seen.append(f"task {correlation.get()}")

    def at_start(diary: Diary) -> None:
        seen.append(f"started {correlation.get()}")
        diary.context.start_task(beside)
        diary.context.send_after(20, Note("tick"))

    page.at_start.append(at_start)
    page.does = {word: lambda _diary: seen.append(f"message {correlation.get()}") for word in ("tick", "hello")}
    page.does["rest"] = lambda diary: diary.context.passivate()
    page.does["crash"] = lambda _diary: 1 / 0
    group: DynamicGroup[Note] = DynamicGroup("group", lambda key: Child(key, lambda: Diary(page)))
    async with living(Group("root", [group])):
        if how in ("revival", "crash"):
            ref = await group.start("a")
            ref.offer(Note("rest" if how == "revival" else "crash"))
            await wait_all_tasks_blocked()
            seen.clear()
        with caused_by("call-1"):
            if how == "start":
                ref = await group.start("a")
            elif how == "ref":
                ref = group.ref("a")
            ref.offer(Note("hello"))
        await trio.sleep(21)
    expected = ["started ", "message call-1", "task ", "message ", "task "]
    assert sorted(seen) == sorted(expected)
