"""Topics of a random tree, and what each subscriber must see of them, known without asking the runtime.

A `Paper` writes down what its publisher publishes, over all its incarnations. Whoever reads it is held against that: an actor that
follows (`Followed`: the snapshot, then each key's changes in order, none twice, and in the end its last one), and a task with a
subscription of its own (`Reading`: the very events that its policy promises, those missed counted).
"""

from random import Random
from typing import Any

import trio

from arbiter.runtime import Lagged, Topic
from tests.runtime.random_world import News, World

KEYS = 3


class Paper:
    """A topic, its publisher's path, and everything that was published on it."""

    def __init__(self, world: World, index: int, publisher: str) -> None:
        self.world = world
        self.index = index
        self.publisher = publisher
        self.topic: Topic[int, News] = Topic(f"news{index}")
        self.log: list[News] = []
        self.newest: dict[int, News] = {}
        """What a snapshot is."""
        self.last: dict[int, News] = {}
        """The same, with the last words of keys that ended."""
        self.readings: dict[Reading, None] = {}

    def _event(self, key: int) -> News:
        event = News(self.index, key, self.world.new_id())
        self.log.append(event)
        self.last[key] = event
        return event

    def publish(self, random: Random) -> None:
        """Something new of some key, or its end."""
        key = random.randrange(KEYS)
        event = self._event(key)
        if random.random() < 0.8:
            self.world.note("publish", event)
            self.newest[key] = event
            self.topic.publish(key, event)
        else:
            self.world.note("publish the end", event)
            self.newest.pop(key, None)
            self.topic.publish_passing(key, event)

    def start_over(self, random: Random) -> None:
        """As a publisher does that rebuilt its state."""
        self.world.note("start over", self.topic.name)
        self.newest.clear()
        self.topic.start_over()
        for key in range(random.randint(0, KEYS)):
            event = self.newest[key] = self._event(key)
            self.topic.publish(key, event)

    # -- readers --

    async def read(self, policy: Any, capacity: int, random: Random, whose: str) -> None:
        """Subscribe and read for ever, now and then slowly; anew after each gap."""
        while True:
            with self.topic.subscribe(policy, capacity=capacity) as (snapshot, changes):
                reading = Reading(self, policy, changes, whose)
                in_order = sorted(snapshot, key=lambda event: event.key)
                reading.check(in_order == [self.newest[key] for key in sorted(self.newest)], "has the snapshot", in_order)
                self.readings[reading] = None
                try:
                    async for event in changes:
                        reading.hear(event)
                        if not self.world.calm and random.random() < 0.3:
                            await trio.sleep(random.choice((0, 0.01, 1, 5)))
                except Lagged:
                    reading.lag(capacity)
                finally:
                    del self.readings[reading]


class Reading:
    """A subscription, held against the log from the instant on in which it began."""

    def __init__(self, paper: Paper, policy: str, changes: Any, whose: str) -> None:
        self.paper = paper
        self.policy = policy
        self.changes = changes
        self.whose = whose
        self.begins = len(paper.log)
        self.heard = 0

    def check(self, holds: object, *what: object) -> None:
        self.paper.world.check(holds, self.policy, "reader of", self.paper.topic.name, "in", self.whose, *what)

    def hear(self, event: News) -> None:
        self.heard += 1
        self.paper.world.note("read", self.whose, event.number)
        if self.policy == "conflate":
            expected = self.paper.last[event.key]  # whatever was replaced before is nobody's any more
        else:  # what was missed was dropped before this one
            expected = self.paper.log[self.begins + self.heard - 1 + self.changes.missed]
        self.check(event is expected, "hears", event, "instead of", expected)

    def lag(self, capacity: int) -> None:
        """It was told that it lags: after everything up to the gap, which there is."""
        self.paper.world.note("lagged", self.whose)
        self.check(self.policy == "backpressure", "is told that it lags")
        self.check(capacity <= self.heard < len(self.paper.log) - self.begins, "lags after", self.heard)

    def settle(self) -> None:
        """Nothing is on its way any more: each event was heard or is counted as missed."""
        accounted = self.heard + self.changes.missed
        self.check(accounted == len(self.paper.log) - self.begins, "accounts for", accounted, "of", len(self.paper.log) - self.begins)


class Followed:
    """What one incarnation hears of a topic that it follows (one key alone, where given). Made in the instant in which it begins."""

    def __init__(self, paper: Paper, key: int | None, whose: str) -> None:
        self.paper = paper
        self.key = key
        self.whose = whose
        self.over = False
        self.begins = len(paper.log)
        self.snapshot = {each: event for each, event in paper.newest.items() if key in (None, each)}
        self.heard: dict[int, int] = {}

    def check(self, holds: object, *what: object) -> None:
        self.paper.world.check(holds, self.whose, "as a follower of", self.paper.topic.name, *what)

    def hear(self, event: News) -> None:
        self.check(not self.over, "hears", event, "after it left")
        self.check(self.key in (None, event.key), "hears", event, "of another key")
        before = self.heard.get(event.key, 0)
        self.check(event.number > before, "hears", event, "after", before)
        self.check(event.number in self._due(event.key), "hears", event, "which was over before it began")
        self.heard[event.key] = event.number

    def _due(self, key: int) -> list[int]:
        """What it may hear of a key, in order."""
        first = [self.snapshot[key]] if key in self.snapshot else []
        return [each.number for each in (*first, *self.paper.log[self.begins :]) if each.key == key]

    def settle(self) -> None:
        """Nothing is on its way any more: the last of each key was heard."""
        for key in range(KEYS) if self.key is None else (self.key,):
            due = self._due(key)
            self.check(self.over or self.heard.get(key, 0) == (due[-1] if due else 0), "heard", self.heard, "of", key, "and not", due[-1:])
