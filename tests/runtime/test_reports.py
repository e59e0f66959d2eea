"""What a crash leaves behind: a line in the log, a last error; and that nothing about telling of it is one more crash."""

from typing import Any

import pytest
import structlog
import trio

from arbiter.errors import ActorStopped, NotFound
from arbiter.runtime import Actor, Backoff, Child, DynamicGroup, Group, Intensity, Message, Request, StartFailed


class Break(Message, frozen=True, tag=True):
    pass


class Breaks(Actor[Break]):
    def __init__(self, error: Exception) -> None:
        self.error = error

    async def handle(self, message: Break) -> object:
        raise self.error


class WithoutText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def broken(error: Exception) -> tuple[Child[Break], Group]:
    """A tree of one that crashes by this error, and of another."""
    child = Child("a", lambda: Breaks(error))
    return child, Group("root", [child, Child("b", lambda: Breaks(error))], intensity=Intensity(100, 1))


async def test_an_error_that_cannot_say_what_it_is_crashes_no_more_than_its_actor(living, autojump_clock):
    child, tree = broken(WithoutText())
    async with living(tree) as supervisor:
        await child.ref.tell(Break())
        await trio.sleep(1)
        assert [(each.state, each.restarts) for each in supervisor.statuses()] == [("running", 1), ("running", 0)]
        assert supervisor.statuses()[0].last_error == "WithoutText: (it cannot say what it is)"


@pytest.mark.parametrize("exhausted", ["escalate", "park"])
async def test_a_log_that_cannot_be_written_takes_no_tree_down(exhausted, living, autojump_clock):
    def fail(*_: Any) -> Any:
        raise BrokenPipeError("nobody reads")

    child, tree = broken(ValueError("as told"))
    tree.exhausted = exhausted
    if exhausted == "park":
        tree.intensity = Intensity(0)
    async with living(tree) as supervisor:
        with_logs = structlog.get_config()["processors"]
        kept = list(with_logs)
        with_logs[:] = [fail]
        try:
            await child.ref.tell(Break())
            await trio.sleep(1)
        finally:
            with_logs[:] = kept
        states = [each.state for each in supervisor.statuses()]
        assert states == ["parked" if exhausted == "park" else "running", "running"]
        assert supervisor.statuses()[0].last_error == "ValueError: as told"


async def test_a_last_error_is_text_that_can_be_sent(living, autojump_clock):
    child, tree = broken(ValueError("bad \ud800 text\nand more"))
    async with living(tree) as supervisor:
        await child.ref.tell(Break())
        await trio.sleep(1)
        assert supervisor.statuses()[0].last_error == "ValueError: bad ? text"


# -- the message in hand --


class Get(Request[str], frozen=True, tag=True):
    how: str


class Desk(Actor[Break | Get]):
    """Fails as its requests say; cleans up badly."""

    async def handle(self, message: Break | Get) -> object:
        match message:
            case Break():
                raise ValueError("the real cause")
            case Get("wait and fail"):
                await trio.sleep(1)
                raise ValueError("the real cause")
            case Get("task"):
                self.context.start_task(self.fail, ValueError("the real cause"))
                await trio.sleep_forever()
            case Get("refuse in a nursery"):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.fail, NotFound("nothing here"))
            case Get("fail twice in a nursery"):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.fail, NotFound("nothing here"))
                    nursery.start_soon(self.fail, NotFound("nor here"))
            case Get("hang"):
                await trio.sleep_forever()
        return "done"

    async def fail(self, error: Exception) -> None:
        raise error

    def take(self, message: Break | Get) -> bool:
        if isinstance(message, Break):
            raise ValueError("the real cause")
        return False

    async def stopped(self) -> None:
        raise KeyError("while cleaning up")


@pytest.fixture
def desk() -> Child[Break | Get]:
    return Child("desk", Desk)


@pytest.mark.parametrize(
    ("how", "in_hand"),
    [("tell", "Break"), ("offer", "Break"), ("ask", "Get"), ("task", "Get")],
)
async def test_the_message_that_was_in_hand_at_a_crash_is_named_and_counted(desk, how, in_hand, living, logs, autojump_clock):
    async with living(Group("root", [desk])) as supervisor:
        await trio.sleep(1)
        if how == "tell":
            desk.ref.offer_urgent(Break())
        elif how == "offer":
            desk.ref.offer(Break())
        else:
            with pytest.raises(ActorStopped):
                await desk.ref.ask(Get("wait and fail" if how == "ask" else "task"), timeout=5)
        await trio.sleep(1)
        (status,) = supervisor.statuses()
        assert (status.lost, status.restarts) == (1, 1)
        (line,) = (each for each in logs if each["event"] == "child crashed")
        assert (line["child"], line["in_hand"], line["error"]) == ("root/desk", in_hand, "ValueError: the real cause")


async def test_a_crash_with_nothing_in_hand_names_none(living, logs, autojump_clock):
    class Starter(Actor[Break]):
        async def started(self) -> None:
            raise ValueError("at the start")

    async with living(Group("root", [Child("a", Starter)], exhausted="park")) as supervisor:
        await trio.sleep(1)
        assert supervisor.statuses()[0].lost == 0
    assert all("in_hand" not in each for each in logs)


async def test_a_message_that_is_cut_off_by_a_stop_is_counted_too(desk, living, autojump_clock):
    async with living(Group("root", [desk])) as supervisor, trio.open_nursery() as nursery:
        nursery.start_soon(ask_in_vain, desk, "hang")
        await trio.sleep(1)
        supervisor.stop()
        await trio.sleep(5)
        assert supervisor.statuses()[0].lost == 1


async def ask_in_vain(desk: Child[Break | Get], how: str) -> None:
    with pytest.raises(ActorStopped):
        await desk.ref.ask(Get(how), timeout=60)


@pytest.mark.parametrize("how", ["wait and fail", "task"])
async def test_a_failure_while_cleaning_up_after_a_crash_is_told_beside_it_and_hides_it_not(desk, how, living, logs, autojump_clock):
    async with living(Group("root", [desk])) as supervisor:
        await ask_in_vain(desk, how)
        await trio.sleep(1)
        assert supervisor.statuses()[0].last_error == "ValueError: the real cause"
    assert [each["event"] for each in logs][:2] == ["cleaning up failed too", "child crashed"]
    assert supervisor.statuses()[0].last_error == "KeyError: 'while cleaning up'"  # that of the stop


async def test_a_failed_start_is_told_by_its_cause_also_where_cleaning_up_fails(living, autojump_clock):
    class Starter(Desk):
        async def started(self) -> None:
            raise ValueError("at the start")

    async with living(Group("root", [Child("a", Starter)], exhausted="park")) as supervisor:
        assert supervisor.statuses()[0].last_error == "ValueError: at the start"


async def test_a_refusal_out_of_a_nursery_of_the_handler_goes_to_the_asker_and_two_of_them_are_a_crash(desk, living, autojump_clock):
    async with living(Group("root", [desk])) as supervisor:
        with pytest.raises(NotFound, match="nothing here"):
            await desk.ref.ask(Get("refuse in a nursery"), timeout=1)
        assert supervisor.statuses()[0].restarts == 0
        await ask_in_vain(desk, "fail twice in a nursery")
        await trio.sleep(1)
        assert supervisor.statuses()[0].restarts == 1


async def test_every_asker_gets_an_error_of_its_own_from_one_crash(desk, living, autojump_clock):
    told: list[Exception] = []

    async def ask() -> None:
        with pytest.raises(ActorStopped) as caught:
            await desk.ref.ask(Get("wait and fail"), timeout=5)
        told.append(caught.value)

    async with living(Group("root", [desk])), trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(ask)
    assert len({id(each) for each in told}) == 5


# -- the start of a dynamic child --


class Fickle(Actor[Break]):
    """Starts as its errors say, one each time."""

    def __init__(self, errors: list[Exception | float]) -> None:
        self.errors = errors

    async def started(self) -> None:
        match self.errors.pop(0) if self.errors else 0:
            case Exception() as error:
                await trio.lowlevel.checkpoint()
                raise error
            case seconds:
                await trio.sleep(float(seconds))


async def test_a_failed_start_has_its_cause_whatever_is_tried_again_meanwhile(environment, living, autojump_clock):
    for _ in range(20):  # the order of what happens in one instant is chance
        errors: list[Exception | float] = [ValueError("the cause"), 1000]
        group: DynamicGroup[Break] = DynamicGroup("group", lambda key, e=errors: Child(key, lambda: Fickle(e)), backoff=Backoff(0, 0))
        async with living(Group("root", [group])):
            with pytest.raises(StartFailed, match="root/group/a could not start: ValueError: the cause") as caught:
                await group.start("a")
            assert isinstance(caught.value.__cause__, ExceptionGroup)


async def test_a_child_that_is_stopped_while_it_starts_again_is_not_told_by_an_older_error(living, autojump_clock):
    errors: list[Exception | float] = [0, 10]
    group: DynamicGroup[Break] = DynamicGroup("group", lambda key: Child(key, lambda: Fickle(errors)), backoff=Backoff(1, 1))
    async with living(Group("root", [group])), trio.open_nursery() as nursery:
        (await group.start("a")).offer(Break())  # it crashes: nobody handles it
        await trio.sleep(3)

        async def stop() -> None:
            await trio.sleep(1)
            await group.stop("a")

        nursery.start_soon(stop)
        with pytest.raises(StartFailed, match="root/group/a could not start: it was stopped"):
            await group.start("a")
