"""The auditor: every record becomes durable, in order, however long the store takes nothing; nobody is held up."""

from contextlib import asynccontextmanager

import pytest
import trio

from arbiter.actors import auditor as module
from arbiter.actors.auditor import Audit, Auditor, AuditSoon
from arbiter.actors.journal import Journal
from arbiter.domain.audit import record
from arbiter.errors import AskTimeout
from arbiter.runtime import Child, Environment, Group, Supervisor


def made(number):
    return record(number, "ann", f"method {number}", "", "", "OK")


class House:
    def __init__(self, store):
        self.store = store
        self.journal = Child("journal", lambda: Journal(store))
        self.auditor = Child("auditor", lambda: Auditor(self.journal.ref))

    @asynccontextmanager
    async def running(self):
        supervisor = Supervisor(Group("root", [self.journal, self.auditor]), Environment.simulated(1))
        async with trio.open_nursery() as nursery:
            await nursery.start(supervisor.run)
            try:
                yield
            finally:
                supervisor.stop()

    async def kept(self):
        return [numbered.record.at_ms for numbered in await self.store.audit_after(0, 100_000)]


@pytest.fixture
def house(scene):
    return House(scene.store)


async def test_an_answered_record_is_durable_and_later_ones_come_after_it(autojump_clock, house):
    async with house.running():
        await house.auditor.ref.ask(Audit(made(1)), timeout=5)
        assert await house.kept() == [1]
        for number in range(2, 500):
            assert house.auditor.ref.offer(AuditSoon(made(number))) or await trio.sleep(0.01) is None
        await house.auditor.ref.ask(Audit(made(1000)), timeout=5)
    kept = await house.kept()
    assert kept == sorted(kept)
    assert kept[-1] == 1000


async def test_a_record_that_the_store_takes_late_is_not_lost(autojump_clock, house):
    async with house.running():
        house.store.failures = 5
        with pytest.raises(AskTimeout):
            await house.auditor.ref.ask(Audit(made(1)), timeout=0.5)
        house.auditor.ref.offer(AuditSoon(made(2)))
        await trio.sleep(30)
        assert await house.kept() == [1, 2]


async def test_what_waits_when_the_program_ends_is_still_written(autojump_clock, house):
    async with house.running():
        house.store.failures = 1
        house.auditor.ref.offer(AuditSoon(made(1)))
        await trio.sleep(0.1)
        assert await house.kept() == []
    assert await house.kept() == [1]


async def test_memory_is_bounded_and_what_falls_out_is_told_to_the_log(autojump_clock, house, log, monkeypatch):
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    async with house.running():
        house.store.failures = 3
        for number in range(1, 6):
            house.auditor.ref.offer(AuditSoon(made(number)))
        await trio.sleep(30)
        assert await house.kept() == [3, 4, 5]
    assert [line["record"].at_ms for line in log if line["event"] == "audit record not in the store"] == [1, 2]
