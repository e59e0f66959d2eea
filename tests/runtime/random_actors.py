"""The actors of random trees, which do what their chance says: what the runtime is made to bear.

A `Subject` sends, waits, crashes, passivates, stops, sets timers, publishes and follows. A `Quick` one does part of that at once, in
the task of who sends to it. What they hear they hold against what they know: their own timers, and the topics of `random_news.py`.
"""

from dataclasses import dataclass
from typing import Any

import trio

from arbiter.errors import NotFound
from arbiter.runtime import Actor, Child, DropOldest, Timer
from tests.runtime.random_news import KEYS, Followed, Paper
from tests.runtime.random_world import Crash, Letter, Mail, News, Question, Tick, World


@dataclass
class Set:
    """A timer that was set: when, for how long, and how often it came."""

    timer: Timer
    at: float
    seconds: float
    again: bool
    came: int = 0
    cancelled: bool = False


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
        self.timers: dict[int, Set] = {}
        self.followed: dict[int, Followed] = {}
        self.unfollow: dict[int, Any] = {}
        self.papers: list[Paper] = [paper for paper in world.papers if paper.publisher == path]
        world.note("make", path, self.number)
        if self._may(0.02):
            world.ended_at[path] = trio.current_time()
            raise Crash("make")

    def _may(self, chance: float) -> bool:
        return not self.world.calm and self.random.random() < chance

    async def started(self) -> None:
        self.world.live.add((self.path, f"incarnation {self.number}"))
        self.world.subjects[self.path] = self
        self.world.note("start", self.path, self.number)
        late = self.random.random() < 0.5
        if not late:
            self._follow()
        if self._may(0.3):
            await trio.sleep(self.random.choice((0, 0.001, 0.5, 3)))
        if self._may(0.01):
            await trio.sleep(60)
        if late:
            self._follow()
        for paper in self.papers:
            if self._may(0.7):
                paper.start_over(self.random)
            if self._may(0.9):
                self.context.start_task(self._press, paper)
        if self._may(0.1):
            self.context.start_task(self._beside, self.random.choice((0, 0.01, 2, 20)), self.random.random() < 0.7)
        if self._may(0.1):
            self._set(self.random.choice((0.5, 3)), again=True)
        if self._may(0.2):
            self._set(self.random.choice((0, 1)), again=False)
        if self._may(0.05):
            raise Crash("start")
        self.world.note("ready", self.path, self.number)

    # -- beside --

    async def _beside(self, seconds: float, crash: bool) -> None:
        with self.world.living(self.path, f"task of {self.number}"):
            await trio.sleep(seconds)
            if crash and not self.world.calm:
                raise Crash("task")

    async def _press(self, paper: Paper) -> None:
        with self.world.living(self.path, f"press of {self.number}"):
            for _ in range(self.random.randint(1, 10)):
                await trio.sleep(self.random.choice((0, 0.01, 0.3, 1)))
                for _ in range(0 if self.world.calm else self.random.choice((1, 1, 3, 12))):
                    paper.publish(self.random)

    def _follow(self) -> None:
        """Also in the calm: who comes back then has the snapshot."""
        for paper in self.world.papers:
            whose, roll = f"{self.path} {self.number}", self.random.random()
            if roll < (0.5 if paper in self.papers else 0.25):
                self.followed[paper.index] = Followed(paper, None, whose)
                self.context.follow(paper.topic)
            elif roll < 0.4:
                key = self.random.randrange(KEYS)
                self.followed[paper.index] = Followed(paper, key, whose)
                self.unfollow[paper.index] = self.context.follow_key(paper.topic, key)
            elif roll < 0.65:
                policy, capacity = self.random.choice(("conflate", "drop_oldest", "backpressure")), self.random.choice((1, 5, 20))
                self.context.start_task(self._read, paper, policy, capacity, whose)

    async def _read(self, paper: Paper, policy: str, capacity: int, whose: str) -> None:
        with self.world.living(self.path, f"reader of {self.number}"):
            await paper.read(policy, capacity, self.world.chance("reader", paper.index, whose), whose)

    # -- what it does not hear from others --

    def _set(self, seconds: float, *, again: bool) -> None:
        tick = Tick(self.world.new_id(), f"{self.path} {self.number}")
        timer = self.context.send_every(seconds, tick) if again else self.context.send_after(seconds, tick)
        self.timers[tick.id] = Set(timer, trio.current_time(), seconds, again)

    def _tick(self, tick: Tick) -> None:
        now, found = trio.current_time(), self.timers.get(tick.id)
        self.world.note("tick", tick.id, self.path, self.number)
        self.world.check(found, tick, "comes to", self.path, self.number)
        if found is None:
            return
        found.came += 1
        self.world.check(not found.cancelled, tick, "comes though it was cancelled")
        self.world.check(found.again or found.came == 1, tick, "comes again")
        self.world.check(now >= found.at + found.seconds * found.came - 1e-6, tick, "comes too early")

    def _hear(self, news: News) -> None:
        self.world.note("hear", news.number, self.path, self.number)
        followed = self.followed.get(news.topic)
        self.world.check(followed, news, "comes to", self.path, self.number, "which does not follow it")
        if followed is not None:
            followed.hear(news)

    def settle(self) -> None:
        """Long after the calm began: what was to come came. A mailbox that drops may have dropped it."""
        if isinstance(self.child.mailbox.policy, DropOldest):
            return
        for id_, each in self.timers.items():
            self.world.check(each.came or each.cancelled, "timer", id_, "of", self.path, self.number, "never came")
        for followed in self.followed.values():
            followed.settle()

    # -- messages --

    async def handle(self, message: Mail) -> object:
        match message:
            case Tick():
                self._tick(message)
            case News():
                self._hear(message)
            case _:
                return await self._work(message)
        if self._may(0.1):
            await trio.sleep(self.random.choice((0, 0.01, 1)))
        if self._may(0.02):
            raise Crash("own")
        return None

    async def _work(self, message: Letter | Question) -> object:
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
        match self.random.choices(range(13), (44, 8, 2, 3, 10, 1, 4, 6, 4, 2, 8, 3, 18))[0]:
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
                self.world.note("stop oneself", self.path)
                self.context.stop()
            case 10 if self.path.split("/")[-2].startswith("dynamic"):
                self.context.passivate()
            case 11:
                self.context.start_task(self._beside, self.random.choice((0, 0.3)), True)
            case 12:
                self._without_waiting()
        return answer

    def _without_waiting(self) -> None:
        """What may be done in `take` and `answer` too."""
        match self.random.randrange(6):
            case 0 | 1:
                self.world.offer(self.random.choice(self.world.static), urgent=self.random.random() < 0.2)
            case 2:
                for paper in self.papers:
                    paper.publish(self.random)
            case 3:
                self._set(self.random.choice((0, 0.3, 2)), again=self.random.random() < 0.1 and len(self.timers) < 5)
            case 4 if self.timers:
                cancelled = self.timers[self.random.choice(list(self.timers))]
                cancelled.cancelled = True
                cancelled.timer.cancel()
            case 5 if self.unfollow:
                index = self.random.choice(list(self.unfollow))
                self.followed[index].over = True
                self.unfollow.pop(index)()

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
            self.world.subjects.pop(self.path, None)
            self.world.ended_at[self.path] = trio.current_time()
            self.world.note("end", self.path, self.number)


class Quick(Subject):
    """Answers and takes at once what its chance lets it."""

    def take(self, message: Mail) -> bool:
        if self._may(0.3):
            return False
        match message:
            case Tick():
                self._tick(message)
            case News():
                self._hear(message)
                for paper in self.papers:
                    if self._may(0.3):  # while that one is still being handed out
                        paper.publish(self.random)
            case _:
                self.world.receive(self.child, message.id)
                self.world.note("take", message.id, self.path, self.number)
        self._at_once()
        return True

    def answer(self, request: Mail) -> object:
        assert isinstance(request, Question)
        if self._may(0.3):
            return NotImplemented
        self.world.receive(self.child, request.id)
        self.world.note("answer", request.id, self.path, self.number)
        if self._may(0.1):
            raise NotFound("no")
        try:
            self._at_once()
        except Crash:
            self.world.crashed_in_hand[request.id] = trio.current_time()
            raise
        return 2 * request.id

    def _at_once(self) -> None:
        if self._may(0.04):
            raise Crash("at once")
        if self._may(0.2):
            self._without_waiting()
        if self._may(0.02):
            self.context.start_task(self._beside, self.random.choice((0, 0.3)), True)
        if self._may(0.02):
            self.context.stop()
