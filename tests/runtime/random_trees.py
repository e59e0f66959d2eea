"""Random trees, and the actor that stands in them: what the runtime is made to bear.

A `Planter` makes the spec of a tree of any shape, strategy, intensity and mailbox. A `Subject` in it sends, waits, crashes,
passivates and stops by its chance. Both follow from the world's seed.
"""

from random import Random
from typing import Any

import trio

from arbiter.errors import NotFound
from arbiter.runtime import Actor, Backoff, Backpressure, Child, Conflate, DropOldest, DynamicGroup, Group, Intensity
from tests.runtime.random_world import Crash, Letter, Mail, Question, Tick, World


class Subject(Actor[Mail]):
    """Does what its chance says, until there is calm."""

    def __init__(self, world: World, path: str, child: Child[Mail], earlier: list[Child[Mail]]) -> None:
        self.world = world
        self.path = path
        self.child = child
        self.earlier = earlier
        world.incarnations[path] += 1
        self.number = world.incarnations[path]
        self.random = world.chance(path, self.number)
        world.note("make", path, self.number)
        if self._may(0.02):
            world.ended_at[path] = trio.current_time()
            raise Crash("make")

    def _may(self, chance: float) -> bool:
        return not self.world.calm and self.random.random() < chance

    async def started(self) -> None:
        self.world.live.add((self.path, f"incarnation {self.number}"))
        self.world.note("start", self.path, self.number)
        if self._may(0.3):
            await trio.sleep(self.random.choice((0, 0.001, 0.5, 3)))
        if self._may(0.01):
            await trio.sleep(60)
        if self._may(0.1):
            self.context.start_task(self._beside, self.random.choice((0, 0.01, 2, 20)), self.random.random() < 0.7)
        if self._may(0.1):
            self.context.send_every(self.random.choice((0.5, 3)), Tick())
        if self._may(0.1):
            self.context.send_after(self.random.choice((0, 1)), Tick())
        if self._may(0.05):
            raise Crash("start")
        self.world.note("ready", self.path, self.number)

    async def _beside(self, seconds: float, crash: bool) -> None:
        with self.world.living(self.path, f"task of {self.number}"):
            await trio.sleep(seconds)
            if crash and not self.world.calm:
                raise Crash("task")

    async def handle(self, message: Mail) -> object:
        if isinstance(message, Tick):
            return None
        self.world.receive(self.child, message.id)
        self.world.note("handle", message.id, self.path, self.number)
        try:
            return await self._act(message)
        except (Crash, ExceptionGroup):
            self.world.crashed_in_hand[message.id] = trio.current_time()
            raise

    async def _act(self, message: Letter | Question) -> object:
        answer = 2 * message.id
        if self.world.calm:
            return answer
        match self.random.choices(range(13), (50, 8, 2, 3, 10, 1, 4, 6, 4, 4, 2, 8, 3))[0]:
            case 1:
                raise Crash("handle")
            case 2:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._beside, 0.2, True)
                    nursery.start_soon(trio.sleep, 1)
            case 3 if isinstance(message, Question):
                raise NotFound("no")
            case 4:
                await trio.sleep(self.random.choice((0, 0.01, 1)))
            case 5:
                await trio.sleep(50)
            case 6 if isinstance(message, Question):
                self.context.start_task(self._answer_later, self.context.answer_later(), answer)
            case 7 if self.earlier:
                await self.world.ask(self.random.choice(self.earlier).ref, 2)
            case 8 if self.earlier:
                await self.world.tell(self.random.choice(self.earlier), 2)
            case 9:
                self.world.offer(self.random.choice(self.world.static), urgent=self.random.random() < 0.2)
            case 10:
                self.world.note("stop oneself", self.path)
                self.context.stop()
            case 11 if self.path.split("/")[-2].startswith("dynamic"):
                self.context.passivate()
            case 12:
                self.context.start_task(self._beside, self.random.choice((0, 0.3)), True)
        return answer

    async def _answer_later(self, slot: Any, answer: int) -> None:
        with self.world.living(self.path, f"answer {answer} of {self.number}"):
            await trio.sleep(self.random.choice((0, 0.5, 5)))
            slot.answer(answer)

    async def stopped(self) -> None:
        try:
            if self._may(0.2):
                await trio.sleep(self.random.choice((0, 0.1, 1, 10)))
            if self._may(0.05):
                raise Crash("stop")
        finally:
            self.world.live.discard((self.path, f"incarnation {self.number}"))
            self.world.ended_at[self.path] = trio.current_time()
            self.world.note("end", self.path, self.number)


class Planter:
    """Makes the spec of a tree."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = world.chance("tree")

    def root(self) -> Group:
        generous = self.random.random() < 0.7
        return self.group("root", "root", depth=0, intensity=Intensity(1000, 1) if generous else self.intensity())

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
        child: Child[Mail] = Child(
            name,
            lambda: Subject(self.world, path, child, earlier),
            mailbox=random.choice((Backpressure(1), Backpressure(50), Conflate(lambda m: getattr(m, "id", 0) % 3, 2), DropOldest(2))),
            restart=random.choice(("permanent", "permanent", "permanent", "transient", "temporary")),
            shutdown=random.choice((0, 0.5, 2)),
        )
        self.world.children[id(child)] = child
        return child

    def intensity(self) -> Intensity:
        return Intensity(self.random.choice((0, 1, 3, 5)), self.random.choice((1, 5, 60)))

    def backoff(self) -> Backoff:
        return Backoff(self.random.choice((0, 0.05, 1)), 5.0, 30.0)
