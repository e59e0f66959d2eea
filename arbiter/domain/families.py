"""Token families: what one sign-in grows into, by which the reuse of a refresh token is noticed.

A sign-in opens a family and gives its first refresh token. Each refresh uses that up and gives a successor. Whoever
shows one that was used up before is either a thief or was robbed, and nobody can say which: the family ends for both.

One exception, for an answer that was lost on its way: the token that was used up last may be shown again within
`GRACE_MS` while no successor of it was used. The client then gets a sibling of the lost successor, and the first of the
siblings to be used ends the others. A thief who shows a stolen token in these seconds gains nothing lasting: he and the
owner hold siblings, and the second of the two to refresh ends the family.

All times are UTC ms.
"""

from collections.abc import Iterable
from hmac import compare_digest

import msgspec

from arbiter.domain.account import Account
from arbiter.domain.ids import UserId

REFRESH_MS = 7 * 24 * 60 * 60 * 1000
"""How long a refresh token can be used; each use gives a new one that can as long."""
GRACE_MS = 30 * 1000
MOST_SIBLINGS = 4
"""So many answers to one refresh can be lost."""
MOST_A_USER = 20
"""One more sign-in ends the family that was not refreshed for the longest time."""


class Family(msgspec.Struct, frozen=True):
    """One sign-in. `handle` is what its refresh tokens begin with and appears nowhere else; `id` is in its access tokens.

    `current`: digests of the refresh tokens that can be used now (siblings). `used`: the one that was used last, at
    `used_ms`; before the first refresh it is empty. `epoch`: the account's `session_epoch` when it was opened.
    """

    id: str
    handle: str
    user: UserId
    epoch: int
    current: tuple[bytes, ...]
    used: bytes
    used_ms: int
    expires_ms: int


def opened(id_: str, handle: str, account: Account, first: bytes, now_ms: int) -> Family:
    """A new family of this account; `first` is the digest of its first refresh token."""
    return Family(id_, handle, account.user, account.session_epoch, (first,), b"", now_ms, now_ms + REFRESH_MS)


def refreshed(family: Family, given: bytes, new: bytes, now_ms: int) -> Family | None:
    """The family after a refresh with the token of digest `given`, whose successor has digest `new`.

    None where `given` was used up before: reuse. Whether the family lives still is the caller's to ask (`lives`).
    """
    if _among(given, family.current):
        return msgspec.structs.replace(family, current=(new,), used=given, used_ms=now_ms, expires_ms=now_ms + REFRESH_MS)
    # a clock that was set back must not stretch the grace
    in_time = abs(now_ms - family.used_ms) <= GRACE_MS
    used = (family.used,) if family.used else ()
    if _among(given, used) and in_time and len(family.current) < MOST_SIBLINGS:
        return msgspec.structs.replace(family, current=(*family.current, new))
    return None


def lives(family: Family, account: Account, now_ms: int) -> bool:
    """Whether tokens of this family are worth anything."""
    of_now = family.epoch == account.session_epoch or family.id == account.kept_family
    return of_now and now_ms < family.expires_ms


def too_many(families: Iterable[Family]) -> list[Family]:
    """Of one user's families, those that must end so that one more can be opened."""
    by_use = sorted(families, key=lambda family: (family.used_ms, family.id))
    return by_use[: max(0, len(by_use) - MOST_A_USER + 1)]


def _among(given: bytes, known: tuple[bytes, ...]) -> bool:
    """Compares with all of them, so that time tells nothing."""
    found = False
    for each in known:
        found |= compare_digest(given, each)
    return found
