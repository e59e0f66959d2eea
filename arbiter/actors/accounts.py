"""Accounts: who may use Arbiter, with which tier, credentials, settings and strategies. Durable before acknowledged."""

from bisect import bisect_right, insort
from contextlib import suppress
from typing import assert_never

import msgspec
import trio

from arbiter.actors.brake import Latch
from arbiter.actors.journal import Commit
from arbiter.actors.journal import Messages as JournalMessages
from arbiter.domain import entitlement
from arbiter.domain.account import Account, ApiKey, Role, TelegramLink, Tier, UserSettings, sessions_ended
from arbiter.domain.ids import UserId
from arbiter.domain.link_codes import LinkCodes, NewCode, TooManyTries
from arbiter.errors import ActorStopped, AskTimeout, Conflict, LimitExceeded, NotAllowed, NotFound, StoreError
from arbiter.runtime import Actor, Environment, MailboxFull, Message, Ref, Request, Topic
from arbiter.store.base import PutAccount, Store

ARBITRAGE = entitlement.ARBITRAGE
STRATEGIES = {ARBITRAGE: "Two-venue arbitrage: buy both sides of one proposition for less than it pays."}
"""Every strategy that exists, with what it does in one line."""

COMMIT_SECONDS = 5.0
AGAIN_SECONDS = 1.0
LONGEST_NAME = 100


class FindApiKey(Request[Account], frozen=True, tag=True):
    """The account that owns this key id. NotFound."""

    key_id: str


class GetAccount(Request[Account], frozen=True, tag=True):
    """One account. NotFound."""

    user: UserId


class PutNewAccount(Request[Account], frozen=True, tag=True):
    """Create an account; the same id again is a Conflict."""

    account: Account


class ChangeSettings(Request[Account], frozen=True, tag=True):
    """Replace a user's settings; answers with the changed account."""

    user: UserId
    settings: UserSettings


class SetTier(Request[Account], frozen=True, tag=True):
    """Put an account into a tier. A lower one closes no position; strategies that it does not have are switched off. NotFound."""

    user: UserId
    tier: Tier


class SetSuspended(Request[Account], frozen=True, tag=True):
    """Suspend an account, or lift that. Suspended it reads, cancels and reduces, enters nothing and runs no strategy. NotFound."""

    user: UserId
    suspended: bool


class ListAccounts(Request[tuple[Account, ...]], frozen=True, tag=True):
    """Accounts by user id: at most `limit`, those after `after`."""

    limit: int
    after: str = ""


class SwitchStrategy(Request[Account], frozen=True, tag=True):
    """Switch a strategy on or off for a user. NotFound for an unknown strategy.

    Switching on: NotAllowed for an operator, when suspended or in a tier without it, RefusedByRisk while trading is stopped.
    """

    user: UserId
    strategy: str
    enabled: bool


class SwitchAllOff(Request[tuple[str, ...]], frozen=True, tag=True):
    """Switch every strategy of a user off; answers with those that were on. NotFound."""

    user: UserId


class ReplaceApiKey(Request[Account], frozen=True, tag=True):
    """Give an account another API key; the old one stops working at once, and every sign-in ends but for `kept_family`."""

    user: UserId
    api_key: ApiKey
    kept_family: str = ""


class EndSessions(Request[Account], frozen=True, tag=True):
    """End every sign-in of a user, but for the token family `kept_family`. The API key goes on working."""

    user: UserId
    kept_family: str = ""


class CreateLinkCode(Request[NewCode], frozen=True, tag=True):
    """A one-time code that links a Telegram account to this user; it takes the place of the last one. NotFound."""

    user: UserId


class RedeemLinkCode(Request[Account], frozen=True, tag=True):
    """Link a Telegram account by a code. One that was linked elsewhere moves. NotFound, LimitExceeded after five wrong codes."""

    code: str
    telegram_id: int
    telegram_name: str


class Unlink(Request[bool], frozen=True, tag=True):
    """Take a user's Telegram account off; whether there was one. An open code is withdrawn too."""

    user: UserId


class FindTelegram(Request[Account], frozen=True, tag=True):
    """The account that a Telegram account is linked to. NotFound."""

    telegram_id: int


class LookAgain(Message, frozen=True, tag=True):
    """From the accounts to themselves: by now the store says what became of a change of this user's account."""

    user: UserId


class AccountChanged(Message, frozen=True, tag=True):
    """An account as it is now."""

    account: Account


Messages = (
    FindApiKey
    | GetAccount
    | PutNewAccount
    | ChangeSettings
    | SetTier
    | SetSuspended
    | ListAccounts
    | SwitchStrategy
    | ReplaceApiKey
    | EndSessions
    | CreateLinkCode
    | RedeemLinkCode
    | Unlink
    | FindTelegram
    | SwitchAllOff
    | LookAgain
)


class Accounts(Actor[Messages]):
    """All accounts in memory, loaded from the store at the start; the journal makes changes durable."""

    def __init__(
        self,
        store: Store,
        journal: Ref[JournalMessages],
        changes: Topic[UserId, AccountChanged],
        latch: Latch,
        environment: Environment,
    ) -> None:
        self._store = store
        self._journal = journal
        self._changes = changes
        self._latch = latch
        self._environment = environment
        self._accounts: dict[UserId, Account] = {}
        self._in_order: list[UserId] = []
        self._keys: dict[str, UserId] = {}
        self._telegram: dict[int, UserId] = {}
        self._codes = LinkCodes()

    async def started(self) -> None:
        self._changes.start_over()
        for account in await self._store.accounts():
            self._remember(entitlement.entitled(account))

    async def handle(self, message: Messages) -> object:
        match message:
            case FindApiKey() | GetAccount() | FindTelegram() | ListAccounts():
                return self.answer(message)
            case PutNewAccount(account):
                if account.user in self._accounts:
                    raise Conflict(f"user {account.user} exists already")
                return await self._keep(account)
            case ChangeSettings(user, settings):
                return await self._keep(msgspec.structs.replace(self._get(user), settings=settings))
            case SetTier(user, tier):
                return await self._keep(msgspec.structs.replace(self._get(user), tier=tier))
            case SetSuspended(user, suspended):
                return await self._keep(msgspec.structs.replace(self._get(user), suspended=suspended))
            case ReplaceApiKey(user, api_key, kept_family):
                return await self._keep(msgspec.structs.replace(sessions_ended(self._get(user), kept_family), api_key=api_key))
            case EndSessions(user, kept_family):
                return await self._keep(sessions_ended(self._get(user), kept_family))
            case SwitchStrategy(user, strategy, enabled):
                return await self._switch(self._get(user), strategy, enabled)
            case SwitchAllOff(user):
                return await self._switch_all_off(self._get(user))
            case CreateLinkCode(user):
                return self._codes.create(self._get(user).user, self._environment.unix_ms(), self._environment.random)
            case RedeemLinkCode():
                return await self._link(message)
            case Unlink(user):
                self._codes.withdraw(user)
                return await self._unlink(self._get(user))
            case LookAgain(user):
                await self._look_again(user)
                return None
            case _:
                assert_never(message)

    def answer(self, request: Messages) -> object:
        match request:
            case FindApiKey(key_id):
                return self._get(self._keys.get(key_id, UserId("")))
            case GetAccount(user):
                return self._get(user)
            case FindTelegram(telegram_id):
                return self._get(self._telegram.get(telegram_id, UserId("")))
            case ListAccounts(limit, after):
                start = bisect_right(self._in_order, after)
                return tuple(self._accounts[user] for user in self._in_order[start : start + limit])
            case _:
                return NotImplemented

    async def _switch(self, account: Account, strategy: str, enabled: bool) -> Account:
        if strategy not in STRATEGIES:
            raise NotFound(f"there is no strategy {strategy[:40]!r}; there are: {', '.join(STRATEGIES)}")
        if enabled and account.role is Role.OPERATOR:
            raise NotAllowed("an operator's account does not trade")
        withheld = entitlement.withheld(account, strategy) if enabled else ""
        if withheld:
            raise NotAllowed("the account is suspended" if withheld == entitlement.SUSPENDED else entitlement.not_in_tier(account.tier))
        if enabled:
            self._latch.require_trading(account.user)
        return await self._keep(entitlement.switched(account, strategy, on=enabled))

    async def _switch_all_off(self, account: Account) -> tuple[str, ...]:
        # written also where none is on: an enabling whose outcome stayed unknown may be in the store
        await self._keep(msgspec.structs.replace(account, strategies=()))
        return account.strategies

    async def _link(self, wanted: RedeemLinkCode) -> Account:
        now = self._environment.unix_ms()
        try:
            user = self._codes.redeem(wanted.code, wanted.telegram_id, now)
        except TooManyTries as error:
            raise LimitExceeded("too many wrong codes", error.wait_ms) from None
        if user is None:
            raise NotFound("this code is not valid; make a new one, it works once and for 10 minutes")
        elsewhere = self._telegram.get(wanted.telegram_id)
        if elsewhere is not None and elsewhere != user:
            await self._unlink(self._get(elsewhere))
        link = TelegramLink(wanted.telegram_id, wanted.telegram_name[:LONGEST_NAME], now)
        return await self._keep(msgspec.structs.replace(self._get(user), telegram=link))

    async def _unlink(self, account: Account) -> bool:
        if account.telegram is None:
            return False
        await self._keep(msgspec.structs.replace(account, telegram=None))
        return True

    async def _keep(self, account: Account) -> Account:
        """Durable, then remembered and told. Where that takes too long, what the store says in the end is what holds.

        Strategies that the account may not run are off from then on. Whoever is suspended is signed out of everything, and may sign in
        again to read, cancel and reduce.
        """
        before = self._accounts.get(account.user)
        if before is not None and account.suspended and not before.suspended:
            account = sessions_ended(account)
        account = entitlement.entitled(account)
        try:
            await self._journal.ask(Commit((PutAccount(account),)), timeout=COMMIT_SECONDS)
        except AskTimeout:
            self.context.start_task(self._wait_for_journal, account.user)
            raise
        self._remember(account)
        return account

    async def _wait_for_journal(self, user: UserId, after: float = 0) -> None:
        """An empty commit is answered when everything before it is durable or never will be: then the account is read again.

        By a message, so that this falls between two changes, and an urgent one, so that it comes before those that wait.
        """
        await trio.sleep(after)
        while True:
            try:
                with suppress(StoreError):  # an answer too
                    await self._journal.ask(Commit(()), timeout=COMMIT_SECONDS)
                self.context.ref.offer_urgent(LookAgain(user))
                return
            except (ActorStopped, AskTimeout, MailboxFull):
                await trio.sleep(AGAIN_SECONDS)

    async def _look_again(self, user: UserId) -> None:
        try:
            account = await self._store.account(user)
        except StoreError as error:
            self.context.log.warning("account not read again yet", user=user, problem=str(error))
            self.context.start_task(self._wait_for_journal, user, AGAIN_SECONDS)
            return
        if account is not None and account != self._accounts.get(user):
            self._remember(account)

    def _remember(self, account: Account) -> None:
        before = self._accounts.get(account.user)
        if before is not None and before.api_key is not None:
            self._keys.pop(before.api_key.key_id, None)
        if before is not None and before.telegram is not None:
            self._telegram.pop(before.telegram.telegram_id, None)
        if before is None:
            insort(self._in_order, account.user)
        self._accounts[account.user] = account
        if account.api_key is not None:
            self._keys[account.api_key.key_id] = account.user
        if account.telegram is not None:
            self._telegram[account.telegram.telegram_id] = account.user
        self._changes.publish(account.user, AccountChanged(account))

    def _get(self, user: UserId) -> Account:
        account = self._accounts.get(user)
        if account is None:
            raise NotFound("no such account")
        return account
