"""What an actor understands follows from its class, and what it does not is refused to who sends it."""

from typing import Any, Generic, Never, TypeVar

import pytest

from arbiter.runtime import Actor, Child, DynamicGroup, Group, Message, Request
from arbiter.runtime.testing import crash_at, running
from arbiter.runtime.vocabulary import ANYTHING


class Add(Message, frozen=True, tag=True):
    number: int


class AddTwice(Add, frozen=True, tag=True):
    pass


class Other(Message, frozen=True, tag=True):
    secret: str = "hush"


class Get(Request[int], frozen=True, tag=True):
    pass


class Foreign(Request[str], frozen=True, tag=True):
    pass


M = TypeVar("M")


class Counter(Actor[Add | Get]):
    def __init__(self) -> None:
        self.sum = 0

    async def handle(self, message: Add | Get) -> int | None:
        if isinstance(message, Get):
            return self.sum
        self.sum += message.number
        return None


class Loud(Counter):
    """Understands what its base does."""


class Keeper(Counter, Generic[M]):
    """Its own parameter is no message of it."""


class Letters(Keeper[Other]):
    pass


class Unsaid(Actor[Any]):
    async def handle(self, message: Any) -> object:
        return None


class Open(Actor[M]):
    async def handle(self, message: M) -> object:
        return None


class Listed(Actor["Add | Get"]):
    async def handle(self, message: Any) -> object:
        return None


class Everything(Actor[Message]):
    async def handle(self, message: Message) -> object:
        return None


@pytest.mark.parametrize("make", [Counter, Loud, Letters, lambda: Counter(), crash_at(100, Counter)])  # noqa: PLW0108 its class is unknown until it lives
async def test_what_an_actor_does_not_understand_is_refused_to_who_sends_it_and_costs_the_actor_nothing(make, living, autojump_clock):
    child = Child("counter", make)
    async with living(Group("root", [child])) as supervisor:
        ref = child.ref
        for send in (ref.tell, ref.offer, ref.offer_urgent):
            with pytest.raises(TypeError, match=r"^Other is nothing that counter understands; it is told Add$"):
                await send(Other())
        with pytest.raises(TypeError, match=r"^Foreign is nothing that counter understands; it is asked Get$"):
            await ref.ask(Foreign(), timeout=1)
        with pytest.raises(TypeError, match=r"^Get is a request: ask it$"):
            await ref.tell(Get())  # a type checker does not see it
        with pytest.raises(TypeError, match=r"^Add is a message without a reply: tell or offer it$"):
            await ref.ask(Add(1), timeout=1)
        await ref.tell(Add(1))
        await ref.tell(AddTwice(2))
        assert await ref.ask(Get(), timeout=1) == 3
        assert supervisor.statuses()[0].restarts == 0


def test_what_an_actor_understands_is_known_before_it_lives_where_its_class_is():
    with pytest.raises(TypeError, match="Other is nothing that counter understands"):
        Child("counter", Counter).ref.offer(Other())
    assert Child("counter", lambda: Counter()).ref.offer(Other())  # type: ignore[arg-type]  # noqa: PLW0108 it is not known yet


class Deaf(Actor[Never]):
    """Understands nothing."""


N = TypeVar("N")


class Boxed(Actor[M]):
    async def handle(self, message: M) -> object:
        return None


class WithAdd(Boxed[Add | N], Generic[N]):
    """Understands Add, and what a class derived from it says."""


class OfAdd(Boxed[Add]):
    pass


class OfAddAndOther(WithAdd[Other]):
    pass


class Derived(OfAddAndOther):
    pass


async def test_an_actor_that_understands_nothing_is_sent_nothing(autojump_clock):
    assert Deaf.vocabulary is not ANYTHING
    async with running(Deaf) as ref:
        with pytest.raises(TypeError, match=r"^Add is nothing that actor understands; it is told nothing$"):
            ref.offer(Add(1))  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"^Get is nothing that actor understands; it is asked nothing$"):
            await ref.ask(Get(), timeout=1)


async def test_what_a_generic_base_is_given_is_what_an_actor_understands(autojump_clock):
    assert WithAdd.vocabulary is ANYTHING
    async with running(OfAdd) as ref:
        await ref.tell(Add(1))
        with pytest.raises(TypeError, match=r"^Other is nothing that actor understands; it is told Add$"):
            await ref.tell(Other())  # type: ignore[arg-type]
    for make in (OfAddAndOther, Derived):
        async with running(make) as ref:
            await ref.tell(Add(1))
            await ref.tell(Other())
            with pytest.raises(TypeError, match=r"^Get is nothing that actor understands; it is asked nothing$"):
                ref.vocabulary.require_asked(Get(), "actor")


class Thaw(Message, frozen=False, tag=True):  # type: ignore[misc]
    number: int


class ThawedAdd(Add, frozen=False, tag=True):  # type: ignore[misc]
    pass


class ThawedGet(Get, frozen=False, tag=True):  # type: ignore[misc]
    pass


async def test_a_message_that_could_be_changed_after_it_was_sent_is_refused(autojump_clock):
    with pytest.raises(TypeError, match="Thaw can be changed after it was sent: a message's class says frozen=True"):

        class Melts(Actor[Thaw]):
            pass

    async with running(Counter) as ref:
        for _ in range(2):
            with pytest.raises(TypeError, match="ThawedAdd can be changed after it was sent"):
                ref.offer(ThawedAdd(1))
            with pytest.raises(TypeError, match="ThawedGet can be changed after it was sent"):
                await ref.ask(ThawedGet(), timeout=1)


@pytest.mark.parametrize("make", [Unsaid, Open, Listed, Everything])
async def test_an_actor_whose_class_does_not_name_its_messages_may_be_sent_any(make, autojump_clock):
    async with running(make) as ref:
        for message in (Add(1), Other()):
            await ref.tell(message)


async def test_a_timer_brings_what_its_actor_understands(autojump_clock):
    class Late(Counter):
        async def started(self) -> None:
            self.context.send_after(1, Other())  # type: ignore[arg-type]

    with pytest.raises(TypeError, match="Other is nothing that actor understands"):
        async with running(Late):
            pass


async def test_children_of_one_class_share_what_it_understands(living, autojump_clock):
    group: DynamicGroup[Add | Get] = DynamicGroup("group", lambda key: Child(key, lambda: Counter()))  # noqa: PLW0108 as in a program
    async with living(Group("root", [group])):
        one, two = await group.start("a"), await group.start("b")
        assert one.vocabulary is two.vocabulary is Counter.vocabulary is not ANYTHING


@pytest.mark.parametrize("seconds", [None, "1", float("inf"), float("nan"), 0, -1])
async def test_a_timeout_that_is_none_is_refused_by_saying_so(seconds, autojump_clock):
    async with running(Counter) as ref:
        with pytest.raises(ValueError, match=r"an ask has a deadline: a timeout of .* s is none"):
            await ref.ask(Get(), timeout=seconds)
