"""A tree that cannot be right is refused when it is built; and what a tree counts: handling times."""

from functools import partial
from typing import Any

import pytest

from arbiter.runtime import Actor, Backoff, Backpressure, Child, Conflate, DropOldest, DynamicGroup, Group, Intensity, Message
from arbiter.runtime.statistics import BUCKETS, Statistics


class Note(Message, frozen=True, tag=True):
    pass


class Idle(Actor[Note]):
    pass


def child(name: str = "a", **how: Any) -> Child[Note]:
    return Child(name, how.pop("make", Idle), **how)


def dynamic(name: str = "d", **how: Any) -> DynamicGroup[Note]:
    return DynamicGroup(name, child, **how)


@pytest.mark.parametrize("name", ["", "a/b", "/"])
@pytest.mark.parametrize("make", [child, dynamic, lambda name: Group(name, [])], ids=["child", "dynamic group", "group"])
def test_a_name_that_is_no_part_of_a_path_is_refused(make, name):
    with pytest.raises(ValueError, match="is no name for a part of the tree"):
        make(name)


def test_two_children_of_one_name_are_refused_when_the_group_is_built():
    with pytest.raises(ValueError, match=r"root has two children of one name: \['a', 'a', 'd'\]"):
        Group("root", [child("a"), dynamic("d"), Group("a", [])])


@pytest.mark.parametrize("nobody", [None, "a", Idle, Idle()])
def test_what_is_no_part_of_a_tree_is_refused_as_a_child(nobody):
    with pytest.raises(TypeError, match="is no Child, Group or DynamicGroup"):
        Group("root", [nobody])


@pytest.mark.parametrize(
    ("restarts", "seconds"), [(-1, 5), (3, 0), (3, -1), (3, float("nan")), (2.5, 1), (True, 1), ("3", 1), (3, "5"), (3, float("inf"))]
)
def test_an_intensity_that_makes_no_sense_is_refused(restarts, seconds):
    with pytest.raises(ValueError, match="makes no sense"):
        Intensity(restarts, seconds)


@pytest.mark.parametrize("bad", [-1, float("inf"), float("nan"), "1", None])
@pytest.mark.parametrize("field", ["first", "longest", "quiet"])
def test_a_backoff_that_makes_no_sense_is_refused(field, bad):
    with pytest.raises(ValueError, match="makes no sense"):
        Backoff(**{field: bad})


@pytest.mark.parametrize("kind", [Backpressure, DropOldest, lambda capacity: Conflate(str, capacity)])
@pytest.mark.parametrize("capacity", [0, -1, 1.5, True, None, float("inf"), "10"])
def test_a_mailbox_without_a_bound_or_without_room_is_refused(kind, capacity):
    with pytest.raises(ValueError, match="mailbox of a: capacity must be a number of at least 1"):
        child(mailbox=kind(capacity))


@pytest.mark.parametrize("policy", [7, "backpressure", Backpressure, 0, False, "", []])
def test_a_mailbox_of_no_known_policy_is_refused(policy):
    with pytest.raises(TypeError, match="is no policy"):
        child(mailbox=policy)


@pytest.mark.parametrize("key", [None, 5])
def test_a_conflating_mailbox_without_a_function_for_its_keys_is_refused(key):
    with pytest.raises(TypeError, match="Conflate needs a function that says a message's key, not"):
        child(mailbox=Conflate(key))


class Needy(Idle):
    def __init__(self, what: str) -> None: ...


class Content(Idle):
    def __init__(self, what: str = "nothing", *more: str, **still_more: str) -> None: ...


@pytest.mark.parametrize("make", [Needy, lambda what: Idle(), lambda *, what: Idle(what)])
def test_what_cannot_be_called_to_make_the_actor_is_refused(make):
    with pytest.raises(TypeError, match="a: make cannot be called with no argument"):
        child(make=make)


@pytest.mark.parametrize("make", [Idle, Content, lambda what=1: Idle(), lambda *what, more=2: Idle(), partial(Needy, "x")])
def test_what_can_be_called_without_an_argument_may_make_the_actor(make):
    assert child(make=make).make is make


@pytest.mark.parametrize("make", [lambda: child("a"), lambda key, more: child(), lambda *, key: child(key)])
def test_what_cannot_be_called_with_a_key_is_refused_for_a_dynamic_group(make):
    with pytest.raises(TypeError, match="d: make cannot be called with the key alone"):
        DynamicGroup("d", make)
    with pytest.raises(TypeError, match="d: make must be a function that makes the Child of a key, not 5"):
        DynamicGroup("d", 5)  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [dynamic, lambda name, **how: Group(name, [], **how)], ids=["dynamic group", "group"])
@pytest.mark.parametrize(("what", "value"), [("intensity", 3), ("backoff", 0.1)])
def test_an_intensity_and_a_backoff_are_of_their_types(make, what, value):
    with pytest.raises(TypeError, match=f"d: {what} must be an? {what.capitalize()}, not {value}"):
        make("d", **{what: value})


def test_a_group_may_be_given_any_iterable_of_children():
    assert [each.name for each in Group("root", (child(name) for name in "ab")).children] == ["a", "b"]
    with pytest.raises(ValueError, match="two children of one name"):
        Group("root", (child(name) for name in "aa"))


@pytest.mark.parametrize("strategy", ["rest_for_one", "one_for_all"])
def test_a_group_that_parks_restarts_one_for_one_or_is_refused(strategy):
    with pytest.raises(ValueError, match="root: a child is parked alone, so strategy must be one_for_one"):
        Group("root", [], strategy=strategy, exhausted="park")


@pytest.mark.parametrize("make", [None, "Idle", Idle()])
def test_what_makes_no_actor_is_refused(make):
    with pytest.raises(TypeError, match="make must be a function that makes the actor"):
        child(make=make)


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan")])
def test_a_grace_that_makes_no_sense_is_refused(seconds):
    for make in (child, dynamic):
        with pytest.raises(ValueError, match=r"a shutdown of .* makes no sense"):
            make(shutdown=seconds)


def test_a_restart_type_a_strategy_and_an_exhaustion_are_of_those_that_there_are():
    with pytest.raises(ValueError, match="a: restart must be one of permanent, transient, temporary, not 'always'"):
        child(restart="always")
    with pytest.raises(ValueError, match="root: strategy must be one of"):
        Group("root", [], strategy="all_for_one")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="root: exhausted must be one of escalate, park, not 'give up'"):
        Group("root", [], exhausted="give up")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="root: restart must be one of"):
        Group("root", [], restart="never")  # type: ignore[arg-type]


@pytest.mark.parametrize("capacity", [0, -1, float("inf"), float("nan"), 2.5, True, "10"])
def test_a_dynamic_group_without_room_is_refused(capacity):
    with pytest.raises(ValueError, match="makes no sense"):
        dynamic(capacity=capacity)


# -- statistics --


def test_a_histogram_counts_handling_times_by_powers_of_two_of_microseconds():
    statistics = Statistics()
    for seconds in (0, 1e-6, 3e-6, 1e-3, 1e-3, 3600):
        statistics.record(seconds)
    assert statistics.histogram is not None
    counted = {bucket: count for bucket, count in enumerate(statistics.histogram) if count}
    assert counted == {0: 1, 1: 1, 2: 1, 10: 2, BUCKETS - 1: 1}
    assert (statistics.handled, statistics.longest_s) == (6, 3600)
    assert statistics.busy_s == pytest.approx(3600.002004)


def test_a_percentile_is_an_upper_bound_that_is_never_above_the_longest():
    statistics = Statistics()
    assert statistics.percentile(99) == 0
    for _ in range(98):
        statistics.record(100e-6)
    statistics.record(5e-3)
    statistics.record(10.0)
    assert statistics.percentile(50) == 128e-6
    assert statistics.percentile(99) == 8192e-6
    assert statistics.percentile(100) == 10.0
    alone = Statistics()
    alone.record(100e-6)
    assert alone.percentile(99) == 100e-6


def test_a_class_that_is_no_actor_is_refused():
    with pytest.raises(TypeError, match="a: make must make an Actor, and int is none"):
        child(make=int)


@pytest.mark.parametrize("name", [5, None, "", "a/b"])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(ValueError, match="is no name for a part of the tree"):
        Group(name, [])
