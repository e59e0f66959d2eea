"""Journal: the only writer of the store. It answers when what it was given is durable.

Requests that arrive while a commit is under way go into the next one together (group commit).
"""

import trio

from arbiter.errors import ActorStopped, StoreError
from arbiter.runtime import Actor, ReplySlot, Request, correlation
from arbiter.store.base import Committed, Refused, Store, Write

LONGEST_BATCH = 1024
"""Groups in one transaction; also how many may wait before the journal stops taking more."""


class Commit(Request[Committed], frozen=True, tag=True):
    """Make these writes durable, all of them or none. Refused with StoreError."""

    writes: tuple[Write, ...]


Messages = Commit


class Journal(Actor[Messages]):
    """Gathers what arrives, commits it in one transaction, answers each."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: list[tuple[Commit, ReplySlot, str]] = []
        """With what each was caused by: one task writes for all of them."""
        self._arrived = trio.Event()
        self._room = trio.Event()

    async def started(self) -> None:
        self._log = self.context.log.bind()
        self.context.start_task(self._write_for_ever)

    async def handle(self, message: Messages) -> None:
        slot = self.context.answer_later()
        while len(self._waiting) >= LONGEST_BATCH:
            self._room = trio.Event()
            await self._room.wait()
        self._waiting.append((message, slot, correlation.get()))
        self._arrived.set()

    async def stopped(self) -> None:
        """What was accepted is still written: its senders may be waiting."""
        while self._waiting:
            await self._write_batch()

    async def _write_for_ever(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived = trio.Event()
            while self._waiting:
                # cancelled in the middle, nobody could say whether it became durable
                with trio.CancelScope(shield=True):
                    await self._write_batch()
                await trio.lowlevel.checkpoint()

    async def _write_batch(self) -> None:
        batch, self._waiting = self._waiting[:LONGEST_BATCH], self._waiting[LONGEST_BATCH:]
        self._room.set()
        try:
            results = await self._store.commit([commit.writes for commit, _, _ in batch])
        except StoreError as error:
            for _, slot, _ in batch:
                slot.fail(error)
            return
        except BaseException:
            for _, slot, _ in batch:
                slot.fail(ActorStopped(self.context.name))
            raise
        for (commit, slot, cause), result in zip(batch, results, strict=True):
            if isinstance(result, Refused):
                self._log.warning("write refused", problem=result.problem, correlation_id=cause)
                slot.fail(StoreError(f"the store refused a write: {result.problem}"))
            else:
                self._log.debug("durable", writes=len(commit.writes), correlation_id=cause)
                slot.answer(result)
