"""Accounts: who may use Arbiter, with which tier, credentials, settings and strategies. Durable before acknowledged."""

from typing import assert_never

import msgspec

from arbiter.actors.journal import Commit
from arbiter.actors.journal import Messages as JournalMessages
from arbiter.domain.account import Account, ApiKey, UserSettings
from arbiter.domain.ids import UserId
from arbiter.errors import InvalidInput, NotAllowed, NotFound
from arbiter.runtime import Actor, Message, Ref, Request, Topic
from arbiter.store.base import PutAccount, Store

ARBITRAGE = "arbitrage"
STRATEGIES = {ARBITRAGE: "Two-venue arbitrage: buy both sides of one proposition for less than it pays."}
"""Every strategy that exists, with what it does in one line."""

COMMIT_SECONDS = 5.0


class FindApiKey(Request[Account], frozen=True, tag=True):
    """The account that owns this key id. NotFound."""

    key_id: str


class GetAccount(Request[Account], frozen=True, tag=True):
    """One account. NotFound."""

    user: UserId


class PutNewAccount(Request[Account], frozen=True, tag=True):
    """Create an account; the same id again is InvalidInput."""

    account: Account


class ChangeSettings(Request[Account], frozen=True, tag=True):
    """Replace a user's settings; answers with the changed account."""

    user: UserId
    settings: UserSettings


class SwitchStrategy(Request[Account], frozen=True, tag=True):
    """Switch a strategy on or off for a user. NotFound for an unknown strategy, NotAllowed when suspended."""

    user: UserId
    strategy: str
    enabled: bool


class ReplaceApiKey(Request[Account], frozen=True, tag=True):
    """Give an account another API key; the old one stops working at once."""

    user: UserId
    api_key: ApiKey


class AccountChanged(Message, frozen=True, tag=True):
    """An account as it is now."""

    account: Account


Messages = FindApiKey | GetAccount | PutNewAccount | ChangeSettings | SwitchStrategy | ReplaceApiKey


class Accounts(Actor[Messages]):
    """All accounts in memory, loaded from the store at the start; the journal makes changes durable."""

    def __init__(self, store: Store, journal: Ref[JournalMessages], changes: Topic[UserId, AccountChanged]) -> None:
        self._store = store
        self._journal = journal
        self._changes = changes
        self._accounts: dict[UserId, Account] = {}
        self._keys: dict[str, UserId] = {}

    async def started(self) -> None:
        self._changes.start_over()
        for account in await self._store.accounts():
            self._remember(account)

    async def handle(self, message: Messages) -> Account:
        match message:
            case FindApiKey(key_id):
                return self._get(self._keys.get(key_id, UserId("")))
            case GetAccount(user):
                return self._get(user)
            case PutNewAccount(account):
                if account.user in self._accounts:
                    raise InvalidInput("user", f"{account.user} exists already")
                return await self._keep(account)
            case ChangeSettings(user, settings):
                return await self._keep(msgspec.structs.replace(self._get(user), settings=settings))
            case ReplaceApiKey(user, api_key):
                return await self._keep(msgspec.structs.replace(self._get(user), api_key=api_key))
            case SwitchStrategy(user, strategy, enabled):
                return await self._switch(self._get(user), strategy, enabled)
            case _:
                assert_never(message)

    async def _switch(self, account: Account, strategy: str, enabled: bool) -> Account:
        if strategy not in STRATEGIES:
            raise NotFound(f"there is no strategy {strategy[:40]!r}; there are: {', '.join(STRATEGIES)}")
        if enabled and account.suspended:
            raise NotAllowed("the account is suspended")
        others = set(account.strategies) - {strategy}
        wanted = others | {strategy} if enabled else others
        return await self._keep(msgspec.structs.replace(account, strategies=tuple(sorted(wanted))))

    async def _keep(self, account: Account) -> Account:
        await self._journal.ask(Commit((PutAccount(account),)), timeout=COMMIT_SECONDS)
        self._remember(account)
        return account

    def _remember(self, account: Account) -> None:
        before = self._accounts.get(account.user)
        if before is not None and before.api_key is not None:
            self._keys.pop(before.api_key.key_id, None)
        self._accounts[account.user] = account
        if account.api_key is not None:
            self._keys[account.api_key.key_id] = account.user
        self._changes.publish(account.user, AccountChanged(account))

    def _get(self, user: UserId) -> Account:
        account = self._accounts.get(user)
        if account is None:
            raise NotFound("no such account")
        return account
