"""What one writes: an actor. It receives, calls pure functions, and carries out what they returned."""

from typing import Any, ClassVar, Generic, TypeVar

from arbiter.runtime.context import Context
from arbiter.runtime.vocabulary import ANYTHING, Vocabulary, vocabulary_of

M = TypeVar("M")


class Actor(Generic[M]):
    """One actor. Override `handle`, and `started` and `stopped` where needed.

    `handle` gets one message at a time. For a request, what it returns is the reply, and an ArbiterError that it
    raises goes to the asker; any other exception crashes the actor, and its supervisor decides.
    """

    context: Context[M]

    batch: ClassVar[int] = 16
    """Messages handled between two checkpoints: so many that a flooded actor yields to the others about once a millisecond."""

    answers_at_once: ClassVar[bool] = False
    """Whether it overrides `answer`."""

    takes_at_once: ClassVar[bool] = False
    """Whether it overrides `take`."""

    starts_up: ClassVar[bool] = False
    """Whether it overrides `started`."""

    cleans_up: ClassVar[bool] = False
    """Whether it overrides `stopped`."""

    vocabulary: ClassVar[Vocabulary] = ANYTHING
    """Its messages, from the class's own parameter: `class Counter(Actor[Add | GetTotal])`."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls.answers_at_once = cls.answer is not Actor.answer
        cls.takes_at_once = cls.take is not Actor.take
        cls.starts_up = cls.started is not Actor.started
        cls.cleans_up = cls.stopped is not Actor.stopped
        cls.vocabulary = vocabulary_of(cls, Actor) or cls.vocabulary

    async def started(self) -> None:
        """Before the first message. The actor is ready, and later siblings start, when this returns."""

    async def handle(self, message: M) -> object:
        """One message."""
        raise NotImplementedError

    def answer(self, request: M) -> object:
        """The reply to a request that needs no waiting, or NotImplemented to have it handled in its turn.

        Called in the asker's own task while the actor has nothing else to do, so that a read costs no task switch: it may
        look and compute, but neither wait nor take long. What it raises means what it means in `handle`.
        """
        return NotImplemented

    def take(self, message: M) -> bool:
        """Handle an offer that needs no waiting and say True, or False to have it handled in its turn.

        Called in the task of who offers, while the actor has nothing else to do: for news that come by the thousand and are
        mostly looked at for a few microseconds. As with `answer`: it may neither wait nor take long, and its fault is the
        actor's crash, not that of who offered. What it offers to itself meanwhile is queued.
        """
        return False

    async def stopped(self) -> None:
        """After the last message, also after a crash; shielded.

        At most the shutdown grace long. A stop in all takes no longer than that: what is in hand when three quarters of it
        are over is cancelled, and this has what then is left.
        """
