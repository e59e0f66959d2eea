"""Random trees: a `Planter` makes the spec of a tree of any shape, strategy, intensity and mailbox, as the world's seed says.

The actors in it are `random_actors.py`'s.
"""

from random import Random
from typing import Any

from arbiter.runtime import Backoff, Backpressure, Child, Conflate, DropOldest, DynamicGroup, Group, Intensity
from tests.runtime.random_actors import Quick, Subject
from tests.runtime.random_news import Paper
from tests.runtime.random_world import Mail, News, Tick, World


class Planter:
    """Makes the spec of a tree."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = world.chance("tree")
        self.paths: list[str] = []
        """Of the actors that are always there."""

    def root(self) -> Group:
        generous = self.random.random() < 0.7
        root = self.group("root", "root", depth=0, intensity=Intensity(1000, 1) if generous else self.intensity())
        for index in range(self.random.randint(0, 3) if self.world.static else 0):
            self.world.papers.append(Paper(self.world, index, self.random.choice(self.paths)))
        return root

    def group(self, name: str, path: str, *, depth: int, intensity: Intensity) -> Group:
        count = self.random.randint(1, 4)
        strategy = self.random.choice(("one_for_one", "rest_for_one", "one_for_all"))
        return Group(
            name,
            [self.any_child(f"{path}/", number, depth) for number in range(count)],
            strategy=strategy,
            intensity=intensity,
            exhausted=self.random.choice(("escalate", "park")) if depth and strategy == "one_for_one" else "escalate",
            backoff=self.backoff(),
            restart=self.random.choice(("permanent", "permanent", "transient", "temporary")) if depth else "permanent",
        )

    def any_child(self, above: str, number: int, depth: int) -> Any:
        kind = self.random.random()
        if depth < 2 and kind < 0.35:
            return self.group(f"group{number}", f"{above}group{number}", depth=depth + 1, intensity=self.intensity())
        if kind < 0.5:
            return self.dynamic_group(f"dynamic{number}", f"{above}dynamic{number}")
        child = self.child(f"actor{number}", f"{above}actor{number}", self.random)
        self.world.static.append(child)
        self.paths.append(f"{above}actor{number}")
        return child

    def dynamic_group(self, name: str, path: str) -> DynamicGroup[Mail]:
        def make(key: str) -> Child[Mail]:
            made[key] = made.get(key, 0) + 1
            return self.child(key, f"{path}/{key}", self.world.chance(path, key, made[key]))

        made: dict[str, int] = {}
        capacity = self.random.choice((1, 2, 10))
        group = DynamicGroup(name, make, capacity=capacity, intensity=self.intensity(), backoff=self.backoff())
        self.world.dynamic.append(group)
        return group

    def child(self, name: str, path: str, random: Random) -> Child[Mail]:
        earlier = list(self.world.static)
        kind = random.choice((Subject, Subject, Quick))
        child: Child[Mail] = Child(
            name,
            lambda: kind(self.world, path, child, earlier),
            mailbox=random.choice((Backpressure(1), Backpressure(50), Conflate(mailbox_key, 2), DropOldest(2))),
            restart=random.choice(("permanent", "permanent", "permanent", "transient", "temporary")),
            shutdown=random.choice((0, 0.5, 2)),
        )
        self.world.children[id(child)] = child
        return child

    def intensity(self) -> Intensity:
        return Intensity(self.random.choice((0, 1, 3, 5)), self.random.choice((1, 5, 60)))

    def backoff(self) -> Backoff:
        return Backoff(self.random.choice((0, 0.05, 1)), 5.0, 30.0)


def mailbox_key(message: Any) -> Any:
    """Letters replace each other; of timers and topics nothing is lost that a policy does not lose."""
    match message:
        case Tick(id_):
            return "tick", id_
        case News(topic, key):
            return topic, key
    return message.id % 3
