"""Buckets and the line before them: never more than the limit in any window, nobody overtakes, and nobody waits in vain."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbiter.venues.request_line import MOST_WAITING, Lane, RequestLine, Ticket, WaitTooLong
from arbiter.venues.token_bucket import Limit, TokenBucket, within

SLACK = 0.001
"""Of a token: what float seconds may be off."""


class Run:
    """A line with two narrow buckets and a general one, its time, and what went through when."""

    def __init__(self, *limits: Limit) -> None:
        self.now = 0.0
        self.buckets = [TokenBucket(limit, 0.0) for limit in limits]
        self.line = RequestLine()
        self.waiting: list[Ticket] = []
        self.went: list[tuple[float, Ticket]] = []

    def enter(self, costs: dict[int, int], patience: float = 1e9, lane: Lane = Lane.ORDINARY) -> Ticket:
        ticket = self.line.enter(self.now, tuple((self.buckets[index], cost) for index, cost in costs.items()), patience, lane)
        self.waiting.append(ticket)
        self._note()
        return ticket

    def _note(self) -> None:
        self.went += [(self.now, ticket) for ticket in self.waiting if ticket.gone]
        self.waiting = [ticket for ticket in self.waiting if not ticket.gone]

    def until(self, end: float) -> None:
        while (wait := self.line.next_in(self.now)) <= end - self.now:
            self.now += max(wait, 0.0)
            assert self.line.go(self.now) or wait > 0, "time stands still"
            self._note()
        self.now = max(self.now, end)

    def spent(self, index: int) -> list[tuple[float, int]]:
        return [(at, cost) for at, ticket in self.went for bucket, cost in ticket.takings if bucket is self.buckets[index]]


def most_in_any_window(spent: list[tuple[float, int]], seconds: float) -> float:
    """The most that was spent in a window of that length, which begins with some request."""
    return max((sum(cost for at, cost in spent if began <= at <= began + seconds) for began, _ in spent), default=0)


requests = st.lists(
    st.tuples(
        st.floats(0, 3), st.sampled_from([{0: 1, 2: 1}, {1: 2, 2: 1}, {2: 3}, {0: 3, 1: 1, 2: 1}]), st.booleans(), st.sampled_from(Lane)
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(requests, st.floats(0.1, 30))
def test_no_window_ever_holds_more_than_the_limit_and_all_who_stay_get_through(asked, seconds):
    limits = (Limit("a", 1.5, 3), Limit("b", 0.7, 4), Limit("general", 2.0, 5))
    run = Run(*limits)
    left = 0
    for gap, costs, stays, lane in asked:
        run.until(run.now + gap)
        ticket = run.enter(costs, lane=lane)
        if not stays and not ticket.gone:
            run.line.leave(ticket)
            run.waiting.remove(ticket)
            left += 1
    run.until(run.now + 1000)
    assert len(run.went) == len(asked) - left
    for index, limit in enumerate(limits):
        assert most_in_any_window(run.spent(index), seconds) <= limit.burst + limit.per_second * seconds + SLACK


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 40), st.lists(st.floats(0, 4), max_size=80))
def test_a_window_limit_holds_in_every_window_of_its_length(tokens, gaps):
    run = Run(within("w", tokens, 10.0))
    for gap in gaps:
        run.until(run.now + gap)
        run.enter({0: 1})
    run.until(run.now + 10_000)
    assert len(run.went) == len(gaps)
    assert most_in_any_window(run.spent(0), 10.0 - SLACK) <= tokens


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 2), st.integers(1, 3)), max_size=40))
def test_of_those_who_wait_for_the_same_buckets_nobody_overtakes(asked):
    run = Run(Limit("a", 1.0, 3))
    tickets = []
    for gap, cost in asked:
        run.until(run.now + gap)
        tickets.append(run.enter({0: cost}))
    run.until(run.now + 1000)
    assert [ticket for _, ticket in run.went] == tickets


def test_who_waits_for_a_narrow_limit_holds_nobody_up_who_does_not():
    run = Run(Limit("narrow", 0.1, 1), Limit("general", 10.0, 10))
    assert run.enter({0: 1, 1: 1}).gone
    assert not run.enter({0: 1, 1: 1}).gone
    assert run.enter({1: 1}).gone


def test_a_small_request_does_not_starve_a_large_one():
    run = Run(Limit("general", 1.0, 10))
    run.enter({0: 10})
    large = run.enter({0: 10})
    for _ in range(20):
        run.until(run.now + 0.9)
        run.enter({0: 1})
    assert large.gone
    assert run.went[1] == (pytest.approx(10), large)


def test_the_urgent_go_before_the_ordinary_and_keep_their_order():
    run = Run(Limit("a", 1.0, 1))
    run.enter({0: 1})
    ordinary, first, second = run.enter({0: 1}), run.enter({0: 1}, lane=Lane.URGENT), run.enter({0: 1}, lane=Lane.URGENT)
    run.until(10)
    assert [ticket for _, ticket in run.went[1:]] == [first, second, ordinary]


def test_a_wait_beyond_the_patience_is_refused_at_once_and_takes_nothing():
    run = Run(Limit("a", 2.0, 4))
    run.enter({0: 4})
    run.enter({0: 4})
    with pytest.raises(WaitTooLong) as refused:
        run.enter({0: 1}, patience=2.4)
    assert refused.value.seconds == pytest.approx(2.5)
    assert not run.enter({0: 1}, patience=2.6).gone


def test_more_than_a_bucket_ever_holds_is_refused_for_good():
    with pytest.raises(WaitTooLong) as refused:
        Run(Limit("a", 1.0, 4)).enter({0: 5})
    assert refused.value.seconds == float("inf")


def test_the_line_has_an_end():
    run = Run(Limit("a", 1.0, 1))
    for _ in range(MOST_WAITING + 1):
        run.enter({0: 1})
    with pytest.raises(WaitTooLong):
        run.enter({0: 1})
    assert len(run.line) == MOST_WAITING


def test_a_pause_empties_the_bucket_until_its_end():
    bucket = TokenBucket(Limit("a", 2.0, 4), 0.0)
    bucket.pause(1.0, 6.0)
    assert bucket.wait(1.0, 1) == pytest.approx(5.5)
    assert not bucket.has(6.4, 1)
    assert bucket.has(6.6, 1)
    assert not bucket.has(6.6, 2), "it is empty when the pause ends"


def test_what_the_venue_has_left_counts_where_it_is_less():
    bucket = TokenBucket(Limit("a", 1.0, 10), 0.0)
    bucket.at_most(0.0, 20)
    assert bucket.level(0.0) == 10
    bucket.at_most(0.0, 3)
    assert bucket.level(0.0) == 3
    assert bucket.level(5.0) == 8


def test_another_limit_keeps_what_was_spent():
    bucket = TokenBucket(Limit("a", 1.0, 10), 0.0)
    bucket.take(0.0, 8)
    bucket.change(0.0, Limit("a", 5.0, 20))
    assert bucket.level(0.0) == 12
    assert bucket.level(1.0) == 17
