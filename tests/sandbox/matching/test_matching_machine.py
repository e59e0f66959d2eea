"""Any sequence of requests, world events, faults and time, on both venues: what must hold after each step."""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import settings

from arbiter.domain.book import Side
from arbiter.sandbox.matching.orders import SelfTrade, Tif
from arbiter.sandbox.matching.trades import Fate
from tests.matchmachine import PEOPLE, KalshiMachine, Machine, PolymarketMachine, Wish

PolymarketMachine.TestCase.settings = settings(deadline=None, max_examples=60, stateful_step_count=40)
KalshiMachine.TestCase.settings = settings(deadline=None, max_examples=60, stateful_step_count=40)
test_anything_on_polymarket_keeps_the_books_of_everybody_right = PolymarketMachine.TestCase
test_anything_on_kalshi_keeps_the_books_of_everybody_right = KalshiMachine.TestCase


def wish(random: Random) -> Wish:
    return Wish(
        random.choice(PEOPLE),
        random.randrange(2),
        random.random() < 0.5,
        random.choice(list(Side)),
        random.randrange(45, 56) if random.random() < 0.9 else random.randrange(1, 100),
        random.choice([500, 700, 1_000, 1_503, 2_500, random.randrange(1, 3_000)]),
        random.choice([Tif.GTC, Tif.GTC, Tif.GTC, *Tif]),
        random.choice(["", "", "", "post", "reduce", "dollars"]),
        random.choice(list(SelfTrade)),
    )


@pytest.mark.parametrize("kind", [PolymarketMachine, KalshiMachine])
@pytest.mark.parametrize("seed", range(3))
def test_a_long_day_of_a_busy_market_keeps_them_right(kind: type[Machine], seed: int) -> None:
    """What the machine's short examples seldom reach: deep queues, many fills of one order, balances that run out."""
    random, machine = Random(seed), kind()
    acts: list[tuple[int, Callable[[], None]]] = [
        (60, lambda: machine.place(wishes=[wish(random)])),
        (5, lambda: machine.cancel(pick=random.randrange(100))),
        (8, lambda: machine.amend(random.randrange(100), random.randrange(45, 56), random.randrange(1, 3_000), *_coins(random))),
        (8, lambda: machine.quote(random.randrange(2), random.choice(list(Side)), random.randrange(1, 6), random.randrange(2_000))),
        (4, lambda: machine.drift(random.randrange(2), random.randrange(-4, 5), random.randrange(1, 2_000))),
        (
            4,
            lambda: machine.others_trade(
                random.randrange(2), random.choice(list(Side)), random.randrange(40, 60), random.randrange(1, 3_000)
            ),
        ),
        (8, lambda: machine.wait(random.choice([0.1, 1, 3]))),
        (2, lambda: machine.doom(random.choice(list(Fate)))),
        (2, lambda: machine.turn(random.randrange(100), random.choice(list(Fate)))),
        (3, lambda: machine.split(random.choice(PEOPLE), random.randrange(2), random.randrange(-2_000, 2_000))),
        (1, lambda: machine.other_fees(random.randrange(2), random.choice([0, 1_000_000, 3_000_000]))),
        (1, lambda: machine.withdraw(random.choice(PEOPLE), random.randrange(1, 1_000))),
        (1, lambda: machine.cancel_all(random.choice(PEOPLE))),
    ]
    weights = [weight for weight, _ in acts]
    for step in range(600):
        if step == 300:
            machine.pause(0)
        else:
            random.choices(acts, weights)[0][1]()
        machine.holds()
    for which in range(2):
        machine.settle(which, 500_000, void=True)
    machine.holds()


def _coins(random: Random) -> tuple[bool, bool]:
    return random.random() < 0.5, random.random() < 0.5
