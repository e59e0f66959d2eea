"""Which strategies an account may run, and what becomes of those that it may not run any more."""

from typing import Final

import msgspec

from arbiter.domain.account import Account, Role, Tier, Withdrawn
from arbiter.domain.limits import TIERS

ARBITRAGE: Final = "arbitrage"
SUSPENDED: Final = "suspended"
TIER: Final = "tier"


def withheld(account: Account, strategy: str) -> str:
    """Why an account may not run a strategy: SUSPENDED, TIER (it is in no tier that has it); empty where it may."""
    if account.suspended:
        return SUSPENDED
    if strategy == ARBITRAGE and account.role is not Role.OPERATOR and not TIERS[account.tier].arbitrage_execution:
        return TIER
    return ""


def entitled(account: Account) -> Account:
    """The account with every strategy off that it may not run, each with the reason. Its owner switches them on again, nobody else."""
    lost = tuple(Withdrawn(name, reason) for name in account.strategies if (reason := withheld(account, name)))
    if not lost:
        return account
    names = {each.strategy for each in lost}
    return msgspec.structs.replace(
        account,
        strategies=tuple(name for name in account.strategies if name not in names),
        withdrawn=(*(each for each in account.withdrawn if each.strategy not in names), *lost),
    )


def switched(account: Account, strategy: str, *, on: bool) -> Account:
    """The account after its owner switched a strategy, which settles why it was off before."""
    others = set(account.strategies) - {strategy}
    return msgspec.structs.replace(
        account,
        strategies=tuple(sorted(others | {strategy} if on else others)),
        withdrawn=tuple(each for each in account.withdrawn if each.strategy != strategy),
    )


def not_in_tier(tier: Tier) -> str:
    """What to say to who would execute arbitrage in a tier that does not have it."""
    having = ", ".join(each.value for each, limits in TIERS.items() if limits.arbitrage_execution)
    return f"executing arbitrage is not in tier {tier.value}; it is in: {having}"
