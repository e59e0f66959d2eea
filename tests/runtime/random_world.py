"""One run of a random tree: what is sent, what happens, and what of it is wrong, known without asking the runtime.

The world hands out chance and message numbers, writes the trace, and holds the promises that have to do with messages: none is
handled twice, none is lost, no ask outlives its deadline. `watched_trees.py` holds those of the supervisors.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import trio

from arbiter.errors import ActorStopped, AskTimeout, NotFound, NotRunning, Overloaded
from arbiter.runtime import Child, DynamicGroup, MailboxFull, Message, Ref, Request


class Letter(Message, frozen=True, tag=True):
    id: int


class Tick(Message, frozen=True, tag=True):
    """A timer's, which names the incarnation that set it."""

    id: int
    of: str


class News(Message, frozen=True, tag=True):
    """A topic's."""

    topic: int
    key: int
    number: int


class Question(Request[int], frozen=True, tag=True):
    id: int


Mail = Letter | Tick | Question | News


class Crash(Exception):
    """On purpose."""


class World:
    """One run: its tree, its chance, its trace, and what is known of it without asking the runtime."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(f"world {seed}")
        self.trace: list[str] = []
        self.wrong: list[str] = []
        self.calm = False
        self.live: set[tuple[str, str]] = set()
        self.ended_at: dict[str, float] = {}
        self.children: dict[int, Child[Mail]] = {}
        self.static: list[Child[Mail]] = []
        self.dynamic: list[DynamicGroup[Mail]] = []
        self.papers: list[Any] = []
        """The topics (`random_news.py`)."""
        self.subjects: dict[str, Any] = {}
        """The actors that live, by their path."""
        self.incarnations: dict[str, int] = defaultdict(int)
        self.taken: dict[int, set[int]] = defaultdict(set)
        self.handled: dict[int, int] = {}
        self.handled_by: dict[int, int] = {}
        self.crashed_in_hand: dict[int, float] = {}
        self._ids = 0

    def note(self, *what: object) -> None:
        self.trace.append(f"{trio.current_time():.6f} " + " ".join(map(str, what)))

    def check(self, holds: object, *what: object) -> None:
        if not holds:
            self.note("WRONG:", *what)
            self.wrong.append(" ".join(map(str, what)))

    def chance(self, *what: object) -> Random:
        """A chance of its own, so that what one part does moves no other's."""
        return Random(f"{self.seed} {what}")

    def new_id(self) -> int:
        self._ids += 1
        return self._ids

    def lives(self, path: str) -> bool:
        """Whether anything at or below this place of the tree is there."""
        return any(each == path or each.startswith(f"{path}/") for each, _ in self.live)

    @contextmanager
    def living(self, path: str, what: str) -> Iterator[None]:
        self.live.add((path, what))
        try:
            yield
        finally:
            self.live.discard((path, what))

    # -- sending --

    async def tell(self, child: Child[Mail], seconds: float) -> None:
        letter = Letter(self.new_id())
        with trio.move_on_after(seconds):
            try:
                await child.ref.tell(letter)
            except ActorStopped:
                self.note("tell", letter.id, "refused")
            else:
                self.taken[id(child)].add(letter.id)
                self.note("tell", letter.id, "to", child.ref.name)

    def offer(self, child: Child[Mail], *, urgent: bool) -> None:
        letter = Letter(self.new_id())
        try:
            taken = child.ref.offer_urgent(letter) is None if urgent else child.ref.offer(letter)
        except (MailboxFull, NotRunning):
            taken = False
        self.note("offer", letter.id, "to", child.ref.name, taken)
        if taken:
            self.taken[id(child)].add(letter.id)

    async def ask(self, ref: Ref[Mail], seconds: float) -> bool:
        question = Question(self.new_id())
        began = trio.current_time()
        outcome = "left"
        try:
            answer = await ref.ask(question, timeout=seconds)
            outcome = "answered"
            self.check(answer == 2 * question.id, "the answer to", question.id, "is", answer)
            self.check(question.id in self.handled, question.id, "was answered and not handled")
        except (ActorStopped, AskTimeout, NotFound, Overloaded) as error:
            outcome = type(error).__name__
            self.check(
                not isinstance(error, NotRunning | Overloaded) or question.id not in self.handled,
                question.id,
                "was handled though not sent",
            )
        finally:
            now = trio.current_time()
            self.note("ask", question.id, "of", ref.name, outcome)
            self.check(now <= began + seconds + 1e-6, "ask", question.id, "took", now - began, "of", seconds)
            if outcome != "left" and (crashed_at := self.crashed_in_hand.get(question.id)) is not None:
                self.check(outcome in ("ActorStopped", "AskTimeout") and now == crashed_at, question.id, outcome, "is late for a crash")
        return outcome == "answered"

    def receive(self, child: Child[Mail], id_: int) -> None:
        self.check(id_ not in self.handled, id_, "was handled twice")
        self.handled[id_] = id(child)


def settle_accounts(world: World) -> None:
    """Where is every message that was taken?"""
    for key, taken in world.taken.items():
        mailbox = world.children[key].mailbox
        mailbox.discard_own()
        waiting = []
        while (envelope := mailbox.get_nowait()) is not None:
            waiting.append(envelope[0].id if isinstance(envelope[0], Letter) else 0)
        letters = {each for each in waiting if each}
        handled = {each for each in taken if each in world.handled}
        for each in handled:
            if world.handled[each] != key:
                world.wrong.append(f"{each} was handled by another")
        if letters & handled:
            world.wrong.append(f"{letters & handled} wait in {mailbox.name} though they were handled")
        lost = len(taken) - len(letters) - len(handled)
        if lost < 0 or lost > mailbox.dropped + mailbox.conflated:
            world.wrong.append(f"{lost} letters to {mailbox.name} are lost: {sorted(taken - letters - handled)}")
