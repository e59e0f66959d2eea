"""Auditor: makes audit records durable, in order, and keeps at it while the store takes nothing.

Nothing is ever held up by it: who asks waits at most for as long as they want to, and the record is written all the same.
"""

from collections import deque
from contextlib import suppress
from typing import assert_never

import trio

from arbiter.actors.journal import Commit
from arbiter.actors.journal import Messages as JournalMessages
from arbiter.domain.audit import AuditRecord
from arbiter.errors import ActorStopped, AskTimeout, StoreError
from arbiter.runtime import Actor, Message, Ref, ReplySlot, Request
from arbiter.store.base import AddAudit

MOST_WAITING = 10_000
"""Records that are held while the store takes nothing. Beyond that the oldest is told to the log alone."""
LARGEST_BATCH = 200
COMMIT_SECONDS = 5.0
AGAIN_SECONDS = 1.0
LAST_SECONDS = 1.0
"""How long the last write at the end may take."""


class Audit(Request[None], frozen=True, tag=True):
    """Write a record; answered when it is durable. It is written also where nobody waits for that any more."""

    record: AuditRecord


class AuditSoon(Message, frozen=True, tag=True):
    """Write a record; nobody waits."""

    record: AuditRecord


Messages = Audit | AuditSoon


class Auditor(Actor[Messages]):
    """Gathers records while a write is under way."""

    def __init__(self, journal: Ref[JournalMessages]) -> None:
        self._journal = journal
        self._waiting: deque[tuple[AuditRecord, ReplySlot | None]] = deque()
        self._arrived = trio.Event()

    async def started(self) -> None:
        self.context.start_task(self._write_for_ever)

    async def handle(self, message: Messages) -> None:
        match message:
            case Audit(record):
                self._add(record, self.context.answer_later())
            case AuditSoon(record):
                self._add(record, None)
            case _:
                assert_never(message)

    async def stopped(self) -> None:
        with trio.move_on_after(LAST_SECONDS), suppress(StoreError, ActorStopped, AskTimeout):
            while self._waiting:
                await self._write_some()
        for record, _ in self._waiting:
            self._lose(record)

    def _add(self, record: AuditRecord, slot: ReplySlot | None) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self._lose(self._waiting.popleft()[0])
        self._waiting.append((record, slot))
        self._arrived.set()

    def _lose(self, record: AuditRecord) -> None:
        self.context.log.error("audit record not in the store", record=record)

    async def _write_for_ever(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived = trio.Event()
            while self._waiting:
                try:
                    await self._write_some()
                except (StoreError, ActorStopped, AskTimeout) as error:
                    self.context.log.warning("audit not written yet", records=len(self._waiting), problem=str(error))
                    await trio.sleep(AGAIN_SECONDS)

    async def _write_some(self) -> None:
        """The oldest records. A write whose outcome stays unknown is repeated: rather twice than not at all."""
        batch = [self._waiting[index] for index in range(min(LARGEST_BATCH, len(self._waiting)))]
        await self._journal.ask(Commit(tuple(AddAudit(record) for record, _ in batch)), timeout=COMMIT_SECONDS)
        for record, slot in batch:
            if self._waiting and self._waiting[0][0] is record:  # unless it had to make room meanwhile
                self._waiting.popleft()
            if slot is not None:
                slot.answer(None)
