"""Asking a call for a code of the caller's authenticator, where the policy wants one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from arbiter.actors.second_factors import NOT_ENROLLED, WRONG, FactorStatus, GetFactor, Verify
from arbiter.domain.account import Account
from arbiter.domain.ids import UserId
from arbiter.domain.money import MICRO
from arbiter.domain.totp import is_code
from arbiter.errors import InvalidInput, NotAllowed
from arbiter.rpc.audit import Audit
from arbiter.rpc.core import Core
from arbiter.rpc.request import Request

TOTP_METADATA = "x-totp"
NEEDED = "TOTP_NEEDED"
LONGEST_CODE = 40
ASK_SECONDS = 10.0


async def require_totp(core: Core, request: Request) -> None:
    """Use up the code in the call's metadata `x-totp`, where the policy asks the caller for one.

    Raises NotAllowed with the reason TOTP_NEEDED (no code was sent), TOTP_NOT_ENROLLED (live mode, and no authenticator),
    TOTP_WRONG; LimitExceeded after too many wrong ones; what an ask raises.
    """
    account: Account = request.caller
    status: FactorStatus = await core.second_factors.ask(GetFactor(account.user), timeout=ASK_SECONDS)
    if not core.totp.asks(enrolled=status.enrolled):
        return
    if not status.enrolled:
        raise NotAllowed("in live mode this needs an authenticator: enrol one with EnrolTotp", reason=NOT_ENROLLED)
    await _verify(core, account.user, _code(request))


async def require_totp_if_enrolled(core: Core, request: Request) -> None:
    """The same for what needs a code only of those who have an authenticator, in any mode: changing credentials."""
    status: FactorStatus = await core.second_factors.ask(GetFactor(request.caller.user), timeout=ASK_SECONDS)
    if status.enrolled:
        await _verify(core, request.caller.user, _code(request))


async def require_totp_for_order(core: Core, request: Request, price: int, size: int) -> None:
    """`require_totp` for an order that may cost more than the user's threshold: price x size in micros of a dollar."""
    if price * size > request.caller.settings.totp_above * MICRO:
        await require_totp(core, request)


async def _verify(core: Core, user: UserId, code: str) -> None:
    async with code_audited(core, user, code):
        await core.second_factors.ask(Verify(user, code), timeout=ASK_SECONDS)


@asynccontextmanager
async def code_audited(core: Core, user: UserId, code: str) -> AsyncIterator[None]:
    """Record a code that is wrong in the block, or a recovery code that is used up in it. Guessing is throttled, so they are few."""
    audit = Audit(core.auditor, core.environment)
    try:
        yield
    except NotAllowed as error:
        if error.reason == WRONG:
            await audit.note(user, "wrong code of the authenticator", outcome=error.reason)
        raise
    if not is_code(code):
        await audit.note(user, "recovery code used")


def _code(request: Request) -> str:
    sent = [value for name, value in request.custom_metadata if name == TOTP_METADATA]
    if not sent:
        raise NotAllowed("this needs a code of your authenticator: send it as metadata `x-totp`", reason=NEEDED)
    if len(sent) != 1 or not isinstance(sent[0], str) or len(sent[0]) > LONGEST_CODE:
        raise InvalidInput(TOTP_METADATA, "must be one code")
    return sent[0]
