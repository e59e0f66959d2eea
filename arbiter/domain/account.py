"""Who uses Arbiter: accounts, their tier and role, and the settings that they may change."""

from enum import Enum

import msgspec

from arbiter.domain.ids import UserId
from arbiter.domain.money import MICRO, Micros


class Tier(Enum):
    """What an account pays for; the limits of each stand in `domain/limits.py`."""

    FREE = "free"
    PRO = "pro"
    ENTERPRISE = "enterprise"


class Role(Enum):
    """A trader acts for itself; an operator runs the service and never trades as anybody."""

    TRADER = "trader"
    OPERATOR = "operator"


class UserSettings(msgspec.Struct, frozen=True):
    """What a user may set. `min_edge`: the least net profit a contract, in micros, worth showing or taking.

    `totp_above`: an order that may cost more (price x size, micros of a dollar) needs a code of the authenticator, where
    codes are asked for at all.
    """

    min_edge: Micros = Micros(1_000)
    totp_above: Micros = Micros(50 * MICRO)


class ApiKey(msgspec.Struct, frozen=True):
    """A credential as it is stored: the public key id and the keyed hash of the secret, never the secret."""

    key_id: str
    digest: bytes


class TelegramLink(msgspec.Struct, frozen=True):
    """The Telegram account that may act for an account: Telegram's own user id, its name then, when (UTC ms)."""

    telegram_id: int
    name: str
    linked_ms: int


class Withdrawn(msgspec.Struct, frozen=True):
    """A strategy that was switched off because the account may not run it any more: `reason` is `tier` or `suspended`."""

    strategy: str
    reason: str


class Account(msgspec.Struct, frozen=True):
    """One account. `strategies` holds the names of those that the user switched on and may run, `withdrawn` those taken from it.

    `session_epoch` counts how often all sign-ins were ended: what was signed in under an earlier one is worth nothing, but
    for the token family `kept_family`, which the last time spared.
    """

    user: UserId
    name: str
    tier: Tier = Tier.FREE
    role: Role = Role.TRADER
    suspended: bool = False
    api_key: ApiKey | None = None
    settings: UserSettings = UserSettings()
    strategies: tuple[str, ...] = ()
    telegram: TelegramLink | None = None
    session_epoch: int = 0
    kept_family: str = ""
    withdrawn: tuple[Withdrawn, ...] = ()


def sessions_ended(account: Account, kept_family: str = "") -> Account:
    """The account with every sign-in ended, but for one token family where it names one."""
    return msgspec.structs.replace(account, session_epoch=account.session_epoch + 1, kept_family=kept_family)
