"""The mailbox alone: three policies, the urgent lane, what waits for room, and its life."""

from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from arbiter.errors import ActorStopped, Overloaded
from arbiter.runtime.mailbox import URGENT_CAPACITY, Backpressure, Conflate, DropOldest, Mailbox, MailboxFull, Order, Policy
from arbiter.runtime.reply import ReplySlot

POLICIES = [Backpressure(3), Conflate(lambda message: message, 3), DropOldest(3)]


def first_letter(message: str) -> str:
    return message[0]


def box(policy: Policy) -> Mailbox:
    return Mailbox("box", policy)


async def read(mailbox: Mailbox, count: int) -> list[Any]:
    return [(await mailbox.get())[0] for _ in range(count)]


async def drain(mailbox: Mailbox) -> list[Any]:
    return await read(mailbox, len(mailbox))


# -- backpressure --


async def test_backpressure_keeps_everything_in_order_and_refuses_an_offer_when_full():
    mailbox = box(Backpressure(2))
    assert [mailbox.offer(text) for text in "abc"] == [True, True, False]
    assert await drain(mailbox) == ["a", "b"]
    assert mailbox.offer("d")
    assert await drain(mailbox) == ["d"]
    assert (mailbox.dropped, mailbox.conflated) == (0, 0)


async def test_writers_that_wait_for_room_get_it_in_the_order_in_which_they_came(nursery):
    mailbox = box(Backpressure(1))
    await mailbox.put("first")
    for text in ("second", "third", "fourth"):
        nursery.start_soon(mailbox.put, text)
        await wait_all_tasks_blocked()
    assert len(mailbox) == 1
    assert await read(mailbox, 4) == ["first", "second", "third", "fourth"]


async def test_a_writer_cancelled_while_it_waits_leaves_nothing_and_takes_no_room(nursery):
    mailbox = box(Backpressure(1))
    mailbox.offer("first")
    scope = trio.CancelScope()

    async def give_up() -> None:
        with scope:
            await mailbox.put("never")

    nursery.start_soon(give_up)
    await wait_all_tasks_blocked()
    nursery.start_soon(mailbox.put, "second")
    await wait_all_tasks_blocked()
    scope.cancel()
    await wait_all_tasks_blocked()
    assert await read(mailbox, 2) == ["first", "second"]
    assert len(mailbox) == 0


async def test_a_writer_cancelled_in_the_instant_in_which_it_got_room_blocks_nobody(nursery):
    mailbox = box(Backpressure(1))
    mailbox.offer("first")
    scope = trio.CancelScope()

    async def put_or_give_up() -> None:
        with scope:
            await mailbox.put("second")

    nursery.start_soon(put_or_give_up)
    await wait_all_tasks_blocked()
    nursery.start_soon(mailbox.put, "third")
    await wait_all_tasks_blocked()
    received = await read(mailbox, 1)
    scope.cancel()
    await wait_all_tasks_blocked()
    with trio.fail_after(1):
        while "third" not in received:
            received += await read(mailbox, 1)
    assert received in (["first", "second", "third"], ["first", "third"])


async def test_what_becomes_free_belongs_to_who_waited_longest(nursery):
    mailbox = box(Backpressure(2))
    for text in "ab":
        mailbox.offer(text)
    for text in "cd":
        nursery.start_soon(mailbox.put, text)
        await wait_all_tasks_blocked()
    received = await read(mailbox, 1)
    assert not mailbox.offer("newcomer")
    assert received + await read(mailbox, 3) == ["a", "b", "c", "d"]
    assert mailbox.offer("newcomer")


async def test_conflate_a_newer_message_is_not_replaced_by_an_older_one_that_waited(nursery):
    mailbox = box(Conflate(first_letter, 1))
    mailbox.offer("a")
    for text in ("b1", "c1", "b2"):
        nursery.start_soon(mailbox.put, text)
        await wait_all_tasks_blocked()
    received = await read(mailbox, 1)
    mailbox.offer("b3")
    await wait_all_tasks_blocked()
    assert received + await read(mailbox, 2) == ["a", "b3", "c1"]
    assert len(mailbox) == 0


async def test_a_writer_already_cancelled_delivers_nothing():
    mailbox = box(Backpressure(1))
    with trio.CancelScope() as scope:
        scope.cancel()
        await mailbox.put("never")
    assert scope.cancelled_caught
    assert len(mailbox) == 0


# -- conflate --


async def test_conflate_keeps_the_newest_of_each_key_in_the_place_where_the_key_first_waited():
    mailbox = box(Conflate(first_letter))
    for text in ("a1", "b1", "a2", "c1", "b2", "a3"):
        assert mailbox.offer(text)
    assert len(mailbox) == 3
    assert mailbox.conflated == 3
    assert await drain(mailbox) == ["a3", "b2", "c1"]


async def test_conflate_is_fair_a_key_that_was_read_waits_behind_the_others():
    mailbox = box(Conflate(first_letter))
    for text in ("a1", "b1"):
        mailbox.offer(text)
    assert await read(mailbox, 1) == ["a1"]
    mailbox.offer("a2")
    assert await drain(mailbox) == ["b1", "a2"]


async def test_conflate_bounds_the_keys_but_always_takes_a_newer_message_of_a_key_that_waits(nursery):
    mailbox = box(Conflate(first_letter, 2))
    assert [mailbox.offer(text) for text in ("a1", "b1", "c1", "a2")] == [True, True, False, True]
    nursery.start_soon(mailbox.put, "c2")
    await wait_all_tasks_blocked()
    assert len(mailbox) == 2
    assert await read(mailbox, 3) == ["a2", "b1", "c2"]


async def test_conflate_never_conflates_requests_and_serves_them_before_the_news():
    mailbox = box(Conflate(first_letter, 2))
    mailbox.offer("a1")
    slots = [ReplySlot(), ReplySlot(), ReplySlot()]
    assert [mailbox.offer("a-request", slot) for slot in slots] == [True, True, False]
    received = [(await mailbox.get())[:2] for _ in range(3)]
    assert received == [("a-request", slots[0]), ("a-request", slots[1]), ("a1", None)]


async def test_conflate_writers_of_both_kinds_that_wait_all_get_in(nursery):
    mailbox = box(Conflate(first_letter, 1))
    mailbox.offer("request 0", ReplySlot())
    mailbox.offer("a")
    waiting = [("b", None), ("c", None), ("request 1", ReplySlot()), ("d", None), ("request 2", ReplySlot())]
    for message, slot in waiting:
        nursery.start_soon(mailbox.put, message, slot)
        await wait_all_tasks_blocked()
    with trio.fail_after(5):
        received = await read(mailbox, 7)
    assert sorted(received) == ["a", "b", "c", "d", "request 0", "request 1", "request 2"]


# -- drop the oldest --


async def test_drop_oldest_keeps_the_newest_and_never_waits():
    mailbox = box(DropOldest(2))
    for text in "abcd":
        await mailbox.put(text)
    assert mailbox.dropped == 2
    assert await drain(mailbox) == ["c", "d"]


async def test_a_request_that_is_dropped_is_told_so():
    mailbox = box(DropOldest(1))
    slot = ReplySlot()
    mailbox.offer("request", slot)
    mailbox.offer("news")
    with pytest.raises(Overloaded, match="newer messages took the place of this request to box; nothing was begun"):
        await slot.wait()


# -- the urgent lane --


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: type(policy).__name__)
async def test_the_urgent_lane_overtakes_what_waits_and_has_room_when_the_rest_is_full(policy):
    mailbox = box(policy)
    for text in "abc":
        mailbox.offer(text)
    mailbox.put_urgent("halt 1")
    mailbox.put_urgent("halt 2")
    assert len(mailbox) == 5
    assert await drain(mailbox) == ["halt 1", "halt 2", "a", "b", "c"]


async def test_a_full_urgent_lane_shows_but_the_runtimes_own_stop_still_finds_room_as_the_last():
    mailbox = box(Backpressure(1))
    mailbox.offer("command")
    for number in range(URGENT_CAPACITY):
        mailbox.put_urgent(number)
    with pytest.raises(MailboxFull, match="urgent lane of box"):
        mailbox.put_urgent("one more")
    stop = Order()
    mailbox.put_order(stop)
    assert await drain(mailbox) == [*range(URGENT_CAPACITY), stop, "command"]


async def test_the_runtimes_orders_to_an_incarnation_that_is_gone_are_forgotten_alone():
    mailbox = box(Backpressure())
    mailbox.put_urgent("halt")
    mailbox.put_order(Order())
    mailbox.offer("command")
    mailbox.discard_own()
    assert await drain(mailbox) == ["halt", "command"]


# -- reading --


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: type(policy).__name__)
async def test_a_reader_that_waits_is_woken_by_the_first_message(nursery, policy):
    mailbox = box(policy)
    received: list[Any] = []

    async def reader() -> None:
        received.extend(await read(mailbox, 2))

    nursery.start_soon(reader)
    await wait_all_tasks_blocked()
    mailbox.offer("a")
    mailbox.put_urgent("b")
    await wait_all_tasks_blocked()
    assert sorted(received) == ["a", "b"]


async def test_a_reader_cancelled_while_it_waits_takes_nothing_with_it():
    mailbox = box(Backpressure())
    with trio.CancelScope() as scope:
        scope.cancel()
        await mailbox.get()
    mailbox.offer("a")
    assert await drain(mailbox) == ["a"]


# -- life --


async def test_failing_the_requests_keeps_the_tells_in_order_and_lets_writers_in(nursery):
    mailbox = box(Backpressure(4))
    queued, urgent = ReplySlot(), ReplySlot()
    for message, slot in (("a", None), ("request", queued), ("b", None), ("c", None)):
        mailbox.offer(message, slot)
    mailbox.put_urgent("urgent request", urgent)
    mailbox.put_urgent("halt")
    nursery.start_soon(mailbox.put, "d")
    await wait_all_tasks_blocked()
    assert mailbox.fail_requests() == 2
    await wait_all_tasks_blocked()
    for slot in (queued, urgent):
        with pytest.raises(ActorStopped):
            await slot.wait()
    assert await drain(mailbox) == ["halt", "a", "b", "c", "d"]


async def test_a_closed_mailbox_tells_everybody_who_waits_and_takes_nothing_more(nursery):
    mailbox = box(Backpressure(1))
    slot = ReplySlot()
    mailbox.offer("request", slot)
    told: list[str] = []

    async def writer() -> None:
        with pytest.raises(ActorStopped) as caught:
            await mailbox.put("never")
        told.append(caught.value.actor)

    nursery.start_soon(writer)
    await wait_all_tasks_blocked()
    mailbox.close()
    await wait_all_tasks_blocked()
    assert told == ["box"]
    with pytest.raises(ActorStopped):
        await slot.wait()
    assert not mailbox.offer("late")
    with pytest.raises(ActorStopped):
        await mailbox.put("late")
    mailbox.reopen()
    assert mailbox.offer("again")


@pytest.mark.parametrize("policy", [Backpressure(0), Conflate(first_letter, 0), DropOldest(-1)])
def test_a_mailbox_without_room_for_one_message_cannot_be_made(policy):
    with pytest.raises(ValueError, match="at least 1"):
        box(policy)


# -- whatever the schedule --

VERBS = st.sampled_from(["put", "offer", "give_up", "urgent", "request"])
SENDERS = st.lists(st.lists(st.tuples(VERBS, st.integers(0, 3), st.sampled_from("xyz")), max_size=8), min_size=1, max_size=4)
PAUSES = st.lists(st.integers(0, 4), max_size=12)


class Run:
    """Senders and a reader on one mailbox. A message is (sender, number, key); what was taken and what was received is kept."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox
        self.taken: list[tuple[int, int, str]] = []
        self.received: list[tuple[int, int, str]] = []
        self.urgent: set[tuple[int, int, str]] = set()
        self.requests: set[tuple[int, int, str]] = set()
        self.most = 0

    async def send(self, sender: int, plan: list[tuple[str, int, str]]) -> None:
        for number, (verb, pause, key) in enumerate(plan):
            message = (sender, number, key)
            await self._send_one(verb, message)
            self.most = max(self.most, len(self.mailbox) - len(self.mailbox._urgent or ()))
            for _ in range(pause):
                await trio.lowlevel.checkpoint()

    async def _send_one(self, verb: str, message: tuple[int, int, str]) -> None:
        if verb == "put":
            await self.mailbox.put(message)
            self.taken.append(message)
        elif verb == "request":
            self.requests.add(message)
            await self.mailbox.put(message, ReplySlot())
            self.taken.append(message)
        elif verb == "urgent":
            self.urgent.add(message)
            self.mailbox.put_urgent(message)
            self.taken.append(message)
        elif verb == "offer":
            if self.mailbox.offer(message):
                self.taken.append(message)
        else:
            await self._give_up_soon(message)

    async def _give_up_soon(self, message: tuple[int, int, str]) -> None:
        """A put that is cancelled while it waits: taken before that, or not at all."""
        async with trio.open_nursery() as nursery:

            async def put() -> None:
                await self.mailbox.put(message)
                self.taken.append(message)

            nursery.start_soon(put)
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()

    async def receive(self, pauses: list[int]) -> None:
        for pause in pauses:
            for _ in range(pause):
                await trio.lowlevel.checkpoint()
            self.received.append((await self.mailbox.get())[0])
        while True:
            self.received.append((await self.mailbox.get())[0])
            await trio.lowlevel.checkpoint()

    def of_sender(self, messages: list[tuple[int, int, str]], sender: int) -> list[tuple[int, int, str]]:
        """One lane at a time: the urgent one overtakes, and so do requests where news is conflated."""
        apart = self.urgent | (self.requests if isinstance(self.mailbox.policy, Conflate) else set())
        return [message for message in messages if message[0] == sender and message not in apart]


def key_of(message: tuple[int, int, str]) -> str:
    return message[2]


def run_schedule(policy: Policy, plans: list[list[tuple[str, int, str]]], pauses: list[int]) -> Run:
    async def main() -> Run:
        run = Run(Mailbox("box", policy))
        async with trio.open_nursery() as outer:
            outer.start_soon(run.receive, pauses)
            with trio.fail_after(5):
                async with trio.open_nursery() as nursery:
                    for sender, plan in enumerate(plans):
                        nursery.start_soon(run.send, sender, plan)
            await wait_all_tasks_blocked()
            outer.cancel_scope.cancel()
        return run

    return trio.run(main)


@settings(max_examples=120, deadline=None)
@given(plans=SENDERS, pauses=PAUSES, capacity=st.integers(1, 4))
def test_backpressure_loses_nothing_keeps_each_senders_order_and_its_bound_on_any_schedule(plans, pauses, capacity):
    run = run_schedule(Backpressure(capacity), plans, pauses)
    assert sorted(run.received) == sorted(run.taken)
    assert run.most <= capacity
    for sender in range(len(plans)):
        in_order = run.of_sender(run.received, sender)
        assert in_order == sorted(in_order)


@settings(max_examples=120, deadline=None)
@given(plans=SENDERS, pauses=PAUSES, capacity=st.integers(1, 4))
def test_conflate_ends_with_what_is_newest_of_each_key_on_any_schedule(plans, pauses, capacity):
    run = run_schedule(Conflate(key_of, capacity), plans, pauses)
    assert len(run.received) + run.mailbox.conflated == len(run.taken)
    assert set(run.received) <= set(run.taken)
    assert run.requests & set(run.taken) <= set(run.received)
    assert run.most <= 2 * capacity
    for sender in range(len(plans)):
        for key in "xyz":
            of_key = [message for message in run.of_sender(run.received, sender) if message[2] == key]
            assert of_key == sorted(of_key)
    if len(plans) == 1:
        for key in "xyz":
            sent = [message for message in run.of_sender(run.taken, 0) if message[2] == key]
            got = [message for message in run.of_sender(run.received, 0) if message[2] == key]
            assert sent[-1:] == got[-1:]


@settings(max_examples=120, deadline=None)
@given(plans=SENDERS, pauses=PAUSES, capacity=st.integers(1, 4))
def test_drop_oldest_counts_what_it_drops_and_keeps_order_and_bound_on_any_schedule(plans, pauses, capacity):
    run = run_schedule(DropOldest(capacity), plans, pauses)
    assert len(run.received) + run.mailbox.dropped == len(run.taken)
    assert len(set(run.received)) == len(run.received)
    assert run.urgent <= set(run.received)
    assert run.most <= capacity
    for sender in range(len(plans)):
        in_order = run.of_sender(run.received, sender)
        assert in_order == sorted(in_order)
