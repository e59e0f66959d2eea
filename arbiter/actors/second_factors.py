"""Second factors: authenticators and recovery codes. A code counts once, durably; guessing is throttled for each user.

A secret that is not confirmed yet is only in memory: after a restart one enrols again.
"""

from hmac import compare_digest
from typing import Protocol, assert_never
from urllib.parse import quote

import msgspec

from arbiter.actors.journal import Commit
from arbiter.actors.journal import Messages as JournalMessages
from arbiter.domain import totp
from arbiter.domain.ids import UserId
from arbiter.domain.limits import TokenBucket
from arbiter.domain.second_factor import SecondFactor
from arbiter.errors import Conflict, LimitExceeded, NotAllowed, NotFound
from arbiter.runtime import Actor, Environment, Message, Ref, Request
from arbiter.store.base import DropSecondFactor, PutSecondFactor, Store, Write

COMMIT_SECONDS = 5.0
WRONG_A_MINUTE = 5
ENROL_MS = 10 * 60 * 1000
"""How long a new secret waits for its first code."""
MOST_ENROLLING = 1_000
ISSUER = "Arbiter"
WRONG = "TOTP_WRONG"
NOT_ENROLLED = "TOTP_NOT_ENROLLED"
UNREADABLE = "TOTP_UNREADABLE"
SECRET, RECOVERY = "totp", "recovery"


class Box(Protocol):
    """Seals secrets for the store, each bound to a user and a purpose."""

    def seal(self, user: str, purpose: str, secret: bytes) -> bytes:
        """Encrypted."""

    def open(self, user: str, purpose: str, sealed: bytes) -> bytes | None:
        """What was sealed; None where it cannot be opened."""

    def digest(self, user: str, purpose: str, text: str) -> bytes:
        """A keyed digest of what need only be recognised."""


class Enrol(Request["NewSecret"], frozen=True, tag=True):
    """A new secret, which counts once `Confirm` brings a code of it. Conflict where an authenticator is confirmed already."""

    user: UserId
    name: str
    """What the app shows beside the code."""


class NewSecret(Message, frozen=True, tag=True):
    """Shown once: the secret to type (base 32), and the address for a QR code, until when it waits for a code (UTC ms)."""

    secret: str
    address: str
    expires_ms: int

    def __repr__(self) -> str:
        return "NewSecret(...)"


class Confirm(Request[tuple[str, ...]], frozen=True, tag=True):
    """The first code of a new secret: from now on it counts. Answers with the recovery codes, shown once.

    NotFound where nothing waits to be confirmed, NotAllowed for a wrong code, LimitExceeded after too many.
    """

    user: UserId
    code: str

    def __repr__(self) -> str:
        return f"Confirm({self.user})"


class Verify(Request[None], frozen=True, tag=True):
    """Use up a code, or a recovery code. NotAllowed with reason TOTP_WRONG or TOTP_NOT_ENROLLED; LimitExceeded after too many."""

    user: UserId
    code: str

    def __repr__(self) -> str:
        return f"Verify({self.user})"


class Disable(Request[None], frozen=True, tag=True):
    """Use up a code and forget the authenticator. Refused as `Verify` is."""

    user: UserId
    code: str

    def __repr__(self) -> str:
        return f"Disable({self.user})"


class GetFactor(Request["FactorStatus"], frozen=True, tag=True):
    """Whether a user has a confirmed authenticator."""

    user: UserId


class FactorStatus(Message, frozen=True, tag=True):
    """`since_ms`: when it was confirmed (UTC), 0 without one."""

    enrolled: bool
    recovery_codes_left: int
    since_ms: int


class Forget(Request[bool], frozen=True, tag=True):
    """For operators, where a user lost authenticator and recovery codes: forget both; whether there was something."""

    user: UserId


Messages = Enrol | Confirm | Verify | Disable | GetFactor | Forget


class SecondFactors(Actor[Messages]):
    """All second factors in memory, loaded from the store at the start."""

    def __init__(self, store: Store, journal: Ref[JournalMessages], box: Box, environment: Environment) -> None:
        self._store = store
        self._journal = journal
        self._box = box
        self._environment = environment
        self._factors: dict[UserId, SecondFactor] = {}
        self._enrolling: dict[UserId, tuple[bytes, int]] = {}
        self._wrong: dict[UserId, TokenBucket] = {}
        """Of those who typed a wrong code. A user that exists is needed for that, so there are not many."""

    async def started(self) -> None:
        self._factors = {factor.user: factor for factor in await self._store.second_factors()}

    async def handle(self, message: Messages) -> object:
        match message:
            case GetFactor():
                return self.answer(message)
            case Enrol(user, name):
                return self._enrol(user, name)
            case Confirm(user, code):
                return await self._confirm(user, code)
            case Verify(user, code):
                await self._keep(self._used(user, code))
                return None
            case Disable(user, code):
                self._used(user, code)
                await self._forget(user)
                return None
            case Forget(user):
                there = user in self._factors
                await self._forget(user)
                return there
            case _:
                assert_never(message)

    def answer(self, request: Messages) -> object:
        if not isinstance(request, GetFactor):
            return NotImplemented
        factor = self._factors.get(request.user)
        return FactorStatus(factor is not None, len(factor.recovery) if factor else 0, factor.since_ms if factor else 0)

    def _enrol(self, user: UserId, name: str) -> NewSecret:
        if user in self._factors:
            raise Conflict("an authenticator is enrolled already; disable it first")
        secret, expires = totp.new_secret(self._environment.random), self._environment.unix_ms() + ENROL_MS
        self._enrolling.pop(user, None)
        if len(self._enrolling) >= MOST_ENROLLING:
            self._enrolling.pop(next(iter(self._enrolling)))
        self._enrolling[user] = (secret, expires)
        return NewSecret(totp.spelt(secret), _address(secret, name), expires)

    async def _confirm(self, user: UserId, code: str) -> tuple[str, ...]:
        secret, expires = self._enrolling.get(user, (b"", 0))
        now = self._environment.unix_ms()
        if now >= expires or user in self._factors:
            raise NotFound("there is no authenticator to confirm; enrol one, and confirm it within 10 minutes")
        self._require_tries(user)
        step = totp.matching_step(secret, code, now, 0)
        if step is None:
            raise self._wrong_code(user)
        codes = totp.new_recovery_codes(self._environment.random)
        digests = tuple(self._digest(user, each) for each in codes)
        await self._keep(SecondFactor(user, self._box.seal(user, SECRET, secret), step, digests, now))
        self._enrolling.pop(user, None)
        return codes

    def _used(self, user: UserId, code: str) -> SecondFactor:
        """The factor after this code was used."""
        factor = self._factors.get(user)
        if factor is None:
            raise NotAllowed("no authenticator is enrolled for this account: enrol one with EnrolTotp", reason=NOT_ENROLLED)
        self._require_tries(user)
        after = self._after_code(factor, code) if totp.is_code(code) else self._after_recovery(factor, code)
        if after is None:
            raise self._wrong_code(user)
        return after

    def _after_code(self, factor: SecondFactor, code: str) -> SecondFactor | None:
        secret = self._box.open(factor.user, SECRET, factor.sealed)
        if secret is None:
            self.context.log.error("an authenticator's secret cannot be opened: the master key is another one", user=factor.user)
            raise NotAllowed("the authenticator's secret cannot be read any more; ask an operator to reset it", reason=UNREADABLE)
        step = totp.matching_step(secret, code, self._environment.unix_ms(), factor.last_step)
        return None if step is None else msgspec.structs.replace(factor, last_step=step)

    def _after_recovery(self, factor: SecondFactor, code: str) -> SecondFactor | None:
        given = self._digest(factor.user, code)
        left = tuple(each for each in factor.recovery if not compare_digest(each, given))
        return None if len(left) == len(factor.recovery) else msgspec.structs.replace(factor, recovery=left)

    def _digest(self, user: UserId, recovery_code: str) -> bytes:
        return self._box.digest(user, RECOVERY, totp.meant(recovery_code))

    def _require_tries(self, user: UserId) -> None:
        """Before a code is looked at: after so many wrong ones a right one does not count either, or guessing would pay."""
        bucket = self._wrong.get(user)
        if bucket is not None and (wait_ms := bucket.wait_ms(self._environment.monotonic())):
            raise LimitExceeded("too many wrong codes", wait_ms)

    def _wrong_code(self, user: UserId) -> NotAllowed:
        now = self._environment.monotonic()
        self._wrong.setdefault(user, TokenBucket.per_minute(WRONG_A_MINUTE, now)).take(now)
        return NotAllowed("the code is wrong or was used already; wait for the next one", reason=WRONG)

    async def _keep(self, factor: SecondFactor) -> None:
        """Durable before it counts: a code that was answered stays used after a restart."""
        await self._commit(PutSecondFactor(factor))
        self._factors[factor.user] = factor

    async def _forget(self, user: UserId) -> None:
        if user in self._factors:
            await self._commit(DropSecondFactor(user))
            del self._factors[user]
        self._enrolling.pop(user, None)

    async def _commit(self, write: Write) -> None:
        await self._journal.ask(Commit((write,)), timeout=COMMIT_SECONDS)


def _address(secret: bytes, name: str) -> str:
    """What an authenticator app reads as a QR code. It holds the secret."""
    label = f"{ISSUER}:{quote(name, safe='')}"
    return (
        f"otpauth://totp/{label}?secret={totp.spelt(secret)}&issuer={ISSUER}&algorithm=SHA1&digits={totp.DIGITS}&period={totp.STEP_SECONDS}"
    )
