"""Journal: answers when durable, commits together what waits, tells each asker of its own failure."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from arbiter.actors import journal as journal_module
from arbiter.actors.journal import Commit
from arbiter.domain.account import Account
from arbiter.domain.book import Side
from arbiter.domain.ids import FillId, OrderId, UserId
from arbiter.domain.order import Fill
from arbiter.errors import ActorStopped, AskTimeout, StoreError
from arbiter.runtime.testing import confuse
from arbiter.store.base import AddFill, Committed, PutAccount
from arbiter.store.sqlite import InlineRunner, SqliteStore


def commit(name: str) -> Commit:
    return Commit((PutAccount(Account(UserId(name), name)),))


@pytest.fixture
def scene(scene):
    scene.add_accounts = []
    return scene


class Askers:
    """Many tasks that ask the journal, and what each was answered."""

    def __init__(self, scene, nursery) -> None:
        self.answers: dict[str, object] = {}
        self._scene = scene
        self._nursery = nursery

    def ask(self, *names: str, seconds: float = 60) -> None:
        for name in names:
            self._nursery.start_soon(self._ask, name, seconds)

    async def _ask(self, name: str, seconds: float) -> None:
        try:
            self.answers[name] = await self._scene.journal.ref.ask(commit(name), timeout=seconds)
        except (StoreError, ActorStopped, AskTimeout) as error:
            self.answers[name] = error


async def stored(scene) -> list[str]:
    return [account.user for account in await scene.store.accounts()]


async def test_it_answers_only_when_the_commit_is_durable(autojump_clock, scene):
    async with scene.running(), trio.open_nursery() as nursery:
        askers = Askers(scene, nursery)
        scene.store.gate = trio.Event()
        askers.ask("a")
        await trio.sleep(3)
        assert askers.answers == {}
        assert await stored(scene) == []
        scene.store.gate.set()
        await wait_all_tasks_blocked()
        assert askers.answers == {"a": Committed(0)}
        assert await stored(scene) == ["a"]


async def test_what_arrives_during_a_commit_goes_into_the_next_one_together(autojump_clock, scene):
    async with scene.running(), trio.open_nursery() as nursery:
        askers = Askers(scene, nursery)
        scene.store.gate = trio.Event()
        askers.ask("a")
        await wait_all_tasks_blocked()
        askers.ask(*(f"b{n}" for n in range(20)))
        await wait_all_tasks_blocked()
        scene.store.gate.set()
        await wait_all_tasks_blocked()
        assert scene.store.commits == [1, 20]
        assert len(askers.answers) == 21


async def test_more_than_fits_into_one_batch_waits_and_is_written_all_the_same(autojump_clock, scene, monkeypatch):
    monkeypatch.setattr(journal_module, "LONGEST_BATCH", 3)
    async with scene.running(), trio.open_nursery() as nursery:
        askers = Askers(scene, nursery)
        scene.store.gate = trio.Event()
        askers.ask(*(f"a{n:02}" for n in range(10)))
        await wait_all_tasks_blocked()
        scene.store.gate.set()
        await wait_all_tasks_blocked()
        assert max(scene.store.commits) <= 3
        assert len(await stored(scene)) == 10
        assert all(isinstance(answer, Committed) for answer in askers.answers.values())


async def test_a_failing_store_reaches_every_asker_of_that_commit_and_the_next_one_works(autojump_clock, scene):
    async with scene.running(), trio.open_nursery() as nursery:
        askers = Askers(scene, nursery)
        scene.store.failures = 1
        askers.ask("a", "b")
        await wait_all_tasks_blocked()
        assert {str(answer) for answer in askers.answers.values()} == {"the store could not write: the disk is full"}
        assert all(isinstance(answer, StoreError) for answer in askers.answers.values())
        askers.ask("c")
        await wait_all_tasks_blocked()
        assert await stored(scene) == ["c"]


async def test_a_refused_group_fails_its_own_asker_alone(autojump_clock, scene, tmp_path):
    scene.store = SqliteStore(tmp_path / "arbiter.db", InlineRunner)
    async with scene.running(), trio.open_nursery() as nursery:
        askers = Askers(scene, nursery)
        askers.ask("a", "b")
        orphan = Fill(FillId("f"), OrderId("none"), UserId("a"), scene.yes, Side.BUY, 1, 1, 1, 0, 1)
        with pytest.raises(StoreError, match="refused a write: FOREIGN KEY"):
            await scene.journal.ref.ask(Commit((PutAccount(Account(UserId("c"), "c")), AddFill(orphan))), timeout=5)
        await wait_all_tasks_blocked()  # the two others may have asked after it
        assert await stored(scene) == ["a", "b"]
        assert all(isinstance(answer, Committed) for answer in askers.answers.values())


async def test_an_asker_that_gave_up_does_not_stop_its_write(autojump_clock, scene):
    async with scene.running(), trio.open_nursery() as nursery:
        askers = Askers(scene, nursery)
        scene.store.gate = trio.Event()
        askers.ask("a", seconds=1)
        await trio.sleep(2)
        assert isinstance(askers.answers["a"], AskTimeout)
        scene.store.gate.set()
        await wait_all_tasks_blocked()
        assert await stored(scene) == ["a"]


async def test_what_was_accepted_is_written_when_the_program_stops(autojump_clock, scene):
    async with trio.open_nursery() as nursery:
        async with scene.running():
            askers = Askers(scene, nursery)
            scene.store.gate = trio.Event()
            askers.ask("a")
            await wait_all_tasks_blocked()
            askers.ask("b", "c")
            await wait_all_tasks_blocked()
            scene.supervisor.stop()
            scene.store.gate.set()
        assert await stored(scene) == ["a", "b", "c"]
        assert all(isinstance(answer, Committed) for answer in askers.answers.values())


async def test_a_crash_answers_every_asker_and_the_journal_comes_back(autojump_clock, scene):
    async with scene.running(), trio.open_nursery() as nursery:
        askers = Askers(scene, nursery)
        scene.store.gate = trio.Event()
        askers.ask("a", "b")
        await wait_all_tasks_blocked()
        confuse(scene.journal.ref, urgent=True)
        await wait_all_tasks_blocked()
        scene.store.gate.set()
        await trio.sleep(1)
        assert set(askers.answers) == {"a", "b"}
        kept = {name for name, answer in askers.answers.items() if isinstance(answer, Committed)}
        assert kept <= set(await stored(scene))
        askers.ask("c")
        await trio.sleep(1)
        assert askers.answers["c"] == Committed(0)
