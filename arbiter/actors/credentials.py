"""Credentials: token families, durable before their tokens are given out, and ended in memory before anything else.

`LiveFamilies` lives outside the actor, which restarts: it is asked at every call whether the caller's family lives. Only
this actor changes it.
"""

from collections.abc import Iterable
from typing import assert_never

import trio

from arbiter.actors.accounts import AccountChanged
from arbiter.actors.journal import Commit
from arbiter.actors.journal import Messages as JournalMessages
from arbiter.domain.account import Account
from arbiter.domain.families import Family, lives, opened, refreshed, too_many
from arbiter.domain.ids import UserId
from arbiter.errors import ActorStopped, AskTimeout, NotRunning, StoreError, Unauthenticated
from arbiter.runtime import Actor, Environment, Message, Ref, Request, Topic
from arbiter.store.base import DropFamily, PutFamily, Store, Write

COMMIT_SECONDS = 5.0
PRUNE_SECONDS = 600.0


class OpenFamily(Request[Family], frozen=True, tag=True):
    """A sign-in: `first` is the digest of its first refresh token. May end the user's oldest. Raises StoreError."""

    user: UserId
    id: str
    handle: str
    first: bytes


class RefreshFamily(Request["Refreshed"], frozen=True, tag=True):
    """Use up the refresh token of digest `given`; its successor has digest `new`. Raises Unauthenticated where the family is over."""

    handle: str
    given: bytes
    new: bytes


class Refreshed(Message, frozen=True, tag=True):
    """What came of it. `reused`: the token was used up before, so the family has ended."""

    family: Family
    reused: bool


class EndFamily(Request[bool], frozen=True, tag=True):
    """End one; whether it was there. It has ended also where a StoreError or AskTimeout is raised: the store hears of it later."""

    id: str


class EndFamiliesOf(Request[int], frozen=True, tag=True):
    """End all of a user's, but for `kept`; how many. They have ended also where an error is raised, as with EndFamily."""

    user: UserId
    kept: str = ""


class Prune(Message, frozen=True, tag=True):
    """From the actor to itself: forget what has expired."""


class FamilyEnded(Message, frozen=True, tag=True):
    """No token of this family is worth anything from now on."""

    id: str


Messages = OpenFamily | RefreshFamily | EndFamily | EndFamiliesOf | Prune


class LiveFamilies:
    """Every family that has not ended, by its id and by the handle in its refresh tokens."""

    def __init__(self) -> None:
        self.loaded = False
        self.ended: Topic[str, FamilyEnded] = Topic("families ended")
        self.unwritten: set[str] = set()
        """Ended, but maybe not in the store."""
        self._by_id: dict[str, Family] = {}
        self._by_handle: dict[str, str] = {}
        self._of_user: dict[UserId, set[str]] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, id_: str) -> Family | None:
        return self._by_id.get(id_)

    def by_handle(self, handle: str) -> Family | None:
        return self._by_id.get(self._by_handle.get(handle, ""))

    def of(self, user: UserId) -> list[Family]:
        return [self._by_id[id_] for id_ in self._of_user.get(user, ())]

    def all(self) -> list[Family]:
        return list(self._by_id.values())

    def load(self, stored: Iterable[Family]) -> None:
        """What the store holds is all there is, less what ended meanwhile."""
        known = {family.id: family for family in stored if family.id not in self.unwritten}
        for id_ in self._by_id.keys() - known.keys():
            self.end(id_)
        for family in known.values():
            self.put(family)
        self.loaded = True

    def put(self, family: Family) -> None:
        self._by_id[family.id] = family
        self._by_handle[family.handle] = family.id
        self._of_user.setdefault(family.user, set()).add(family.id)

    def end(self, id_: str) -> bool:
        """At once, for who is calling and who holds a stream open. Whether it was there."""
        family = self._by_id.pop(id_, None)
        if family is None:
            return False
        self._by_handle.pop(family.handle, None)
        of_user = self._of_user[family.user]
        of_user.discard(id_)
        if not of_user:
            del self._of_user[family.user]
        self.unwritten.add(id_)
        self.ended.publish_passing(id_, FamilyEnded(id_))
        return True


class Credentials(Actor[Messages]):
    """Opens, refreshes and ends families."""

    def __init__(
        self,
        store: Store,
        journal: Ref[JournalMessages],
        accounts: Topic[UserId, AccountChanged],
        live: LiveFamilies,
        environment: Environment,
    ) -> None:
        self._store = store
        self._journal = journal
        self._accounts = accounts
        self._live = live
        self._environment = environment

    async def started(self) -> None:
        self._live.load(await self._store.families())
        self.context.start_task(self._prune_for_ever)

    async def handle(self, message: Messages) -> object:
        match message:
            case OpenFamily():
                return await self._open(message)
            case RefreshFamily():
                return await self._refresh(message)
            case EndFamily(id_):
                return await self._end([id_]) == 1
            case EndFamiliesOf(user, kept):
                return await self._end([family.id for family in self._live.of(user) if family.id != kept])
            case Prune():
                await self._prune()
                return None
            case _:
                assert_never(message)

    async def _open(self, wanted: OpenFamily) -> Family:
        account, now = self._account(wanted.user), self._environment.unix_ms()
        family = opened(wanted.id, wanted.handle, account, wanted.first, now)
        before = self._live.of(account.user)
        living = [each for each in before if lives(each, account, now)]
        await self._write(PutFamily(family))
        for each in (*(each for each in before if each not in living), *too_many(living)):
            self._live.end(each.id)
        self._live.put(family)
        if self._live.unwritten:
            self._flush_soon()
        return family

    async def _refresh(self, wanted: RefreshFamily) -> Refreshed:
        family, now = self._live.by_handle(wanted.handle), self._environment.unix_ms()
        if family is None or not lives(family, self._account(family.user), now):
            raise Unauthenticated("the refresh token is not valid or has expired; authenticate again")
        after = refreshed(family, wanted.given, wanted.new, now)
        if after is None:
            self.context.log.warning("a refresh token was used twice: its sign-in has ended", user=family.user, family=family.id)
            self._live.end(family.id)
            self._flush_soon()
            return Refreshed(family, reused=True)
        await self._write(PutFamily(after))
        self._live.put(after)
        return Refreshed(after, reused=False)

    async def _end(self, ids: list[str]) -> int:
        ended = sum(self._live.end(id_) for id_ in ids)
        await self._write()
        return ended

    async def _prune(self) -> None:
        now = self._environment.unix_ms()
        for family in self._live.all():
            known = self._accounts.get(family.user)
            if now >= family.expires_ms or (known is not None and not lives(family, known.account, now)):
                self._live.end(family.id)
        try:
            await self._write()
        except (StoreError, ActorStopped, AskTimeout) as error:
            self.context.log.warning("ended sign-ins are not out of the store yet", problem=str(error))

    async def _prune_for_ever(self) -> None:
        while True:
            self.context.ref.offer(Prune())
            await trio.sleep(PRUNE_SECONDS)

    def _flush_soon(self) -> None:
        self.context.ref.offer(Prune())

    async def _write(self, *writes: Write) -> None:
        """With what has ended since the last time."""
        ended = sorted(self._live.unwritten)
        if writes or ended:
            await self._journal.ask(Commit((*writes, *(DropFamily(id_) for id_ in ended))), timeout=COMMIT_SECONDS)
            self._live.unwritten.difference_update(ended)

    def _account(self, user: UserId) -> Account:
        known = self._accounts.get(user)
        if known is None:
            raise NotRunning("accounts")
        return known.account
