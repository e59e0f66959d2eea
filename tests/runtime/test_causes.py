"""The correlation id: it travels with every message that another caused, and no further."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from arbiter.runtime import Actor, Backpressure, Child, Conflate, DropOldest, Group, Message, Ref, Request, Topic, caused_by, correlation
from arbiter.runtime.correlation import add_correlation, fit


class Note(Message, frozen=True, tag=True):
    text: str


class Ask(Request[str], frozen=True, tag=True):
    text: str


class Link(Actor[Note | Ask]):
    """Writes down what caused what it handles, and hands it on as its words say."""

    def __init__(self, name: str, seen: list[tuple[str, str, str]], before: Ref[Note | Ask] | None, topic: Topic[str, Note]) -> None:
        self.name = name
        self.seen = seen
        self.before = before
        self.topic = topic

    async def handle(self, message: Note | Ask) -> object:
        self.seen.append((self.name, message.text, correlation.get()))
        if self.before is not None:
            match message.text:
                case "tell":
                    await self.before.tell(Note("told"))
                case "offer":
                    self.before.offer(Note("offered"))
                case "urgent":
                    self.before.offer_urgent(Note("urgent"))
                case "ask":
                    return await self.before.ask(Ask("asked"), timeout=1)
                case "topic":
                    self.topic.publish("x", Note("published"))
                case "timer":
                    self.context.send_after(1, Note("timed"))
                case "task":
                    self.context.start_task(self._beside)
                case "later":
                    self.context.start_task(self._answer, self.context.answer_later())
        return correlation.get()

    async def _beside(self) -> None:
        await trio.sleep(1)
        assert self.before is not None
        await self.before.tell(Note("from a task"))

    async def _answer(self, slot) -> None:
        await trio.sleep(1)
        slot.answer(correlation.get())


class Chain:
    """Two actors, the second of which hands on to the first."""

    def __init__(self, mailbox=None) -> None:
        self.seen: list[tuple[str, str, str]] = []
        self.topic: Topic[str, Note] = Topic("news")
        self.first: Child[Note | Ask] = Child("first", lambda: Link("first", self.seen, None, self.topic), mailbox=mailbox)
        self.second: Child[Note | Ask] = Child("second", lambda: Link("second", self.seen, self.first.ref, self.topic))
        self.tree = Group("root", [self.first, self.second])


@pytest.fixture
def chain() -> Chain:
    return Chain()


@pytest.mark.parametrize(
    ("how", "arrives"), [("tell", "told"), ("offer", "offered"), ("urgent", "urgent"), ("ask", "asked"), ("task", "from a task")]
)
async def test_an_id_travels_with_what_a_message_causes(chain, living, how, arrives, autojump_clock):
    async with living(chain.tree):
        with caused_by("call-1"):
            await chain.second.ref.tell(Note(how))
        assert correlation.get() == ""
        await trio.sleep(2)
    assert chain.seen == [("second", how, "call-1"), ("first", arrives, "call-1")]


async def test_an_id_travels_over_a_topic(chain, living, autojump_clock):
    async with living(chain.tree):
        with chain.topic.deliver_to(chain.first.ref.offer), caused_by("call-1"):
            chain.second.ref.offer(Note("topic"))
            await wait_all_tasks_blocked()
    assert chain.seen[1] == ("first", "published", "call-1")


async def test_an_id_travels_with_a_timer(chain, living, autojump_clock):
    async with living(chain.tree):
        with caused_by("call-1"):
            chain.second.ref.offer(Note("timer"))
        await trio.sleep(0.5)
        with caused_by("call-2"):
            chain.second.ref.offer(Note("between"))
        await trio.sleep(2)
    assert chain.seen == [("second", "timer", "call-1"), ("second", "between", "call-2"), ("second", "timed", "call-1")]


@pytest.mark.parametrize("mailbox", [Backpressure(5), Conflate(lambda m: m.text, 5), DropOldest(5)], ids=lambda m: type(m).__name__)
async def test_an_id_leaks_from_no_message_into_the_next(living, mailbox, autojump_clock):
    chain = Chain(mailbox)
    for id_ in ("call-1", "", "call-2", "call-1", ""):
        with caused_by(id_):
            chain.first.ref.offer(Note(f"of {id_}{len(chain.first.mailbox)}"))
    async with living(chain.tree):
        await wait_all_tasks_blocked()
    assert [id_ for _, _, id_ in chain.seen] == ["call-1", "", "call-2", "call-1", ""]


async def test_a_conflated_message_has_the_id_of_the_newest(living, autojump_clock):
    chain = Chain(Conflate(lambda m: m.text))
    for id_ in ("call-1", "call-2"):
        with caused_by(id_):
            chain.first.ref.offer(Note("same key"))
    async with living(chain.tree):
        await wait_all_tasks_blocked()
    assert chain.seen == [("first", "same key", "call-2")]


async def test_an_id_survives_the_crash_of_the_actor_for_what_waited(living, autojump_clock):
    chain = Chain()
    with caused_by("call-1"):
        chain.first.ref.offer(Note("one"))
        chain.first.ref.offer(Note("two"))
    async with living(chain.tree):
        await wait_all_tasks_blocked()
        chain.first.mailbox.offer(None)  # nobody's message: it crashes who gets it
        with caused_by("call-2"):
            chain.first.ref.offer(Note("three"))
        await trio.sleep(1)
    assert chain.seen[-1] == ("first", "three", "call-2")


async def test_a_later_answer_is_given_under_the_id_of_its_request(chain, living, autojump_clock):
    answers: list[str] = []

    async def ask(id_: str) -> None:
        with caused_by(id_):
            answers.append(await chain.second.ref.ask(Ask("later"), timeout=5))

    async with living(chain.tree), trio.open_nursery() as nursery:
        for id_ in ("call-1", "call-2"):
            nursery.start_soon(ask, id_)
    assert sorted(answers) == ["call-1", "call-2"]


def test_a_log_line_gets_the_id_unless_it_has_one():
    with caused_by("call-1"):
        assert add_correlation(None, "info", {"event": "x"}) == {"event": "x", "correlation_id": "call-1"}
        assert add_correlation(None, "info", {"correlation_id": "own"}) == {"correlation_id": "own"}
    assert add_correlation(None, "info", {"event": "x"}) == {"event": "x"}


@pytest.mark.parametrize(
    ("id_", "is_fit"),
    [("a", True), ("0190-ab:c.D_9", True), ("x" * 64, True), ("x" * 65, False), ("a b", False), ("a\n", False)],
)
def test_an_id_from_outside_is_fit_for_a_log_line_or_not_taken(id_, is_fit):
    assert fit(id_) is is_fit
