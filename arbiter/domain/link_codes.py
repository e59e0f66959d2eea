"""One-time codes that link a Telegram account: who may redeem which, for how long, and after how many tries.

Codes are remembered by their hash alone, and only in memory: after a restart an open code is worth nothing, which is safe.
"""

import hashlib
from random import Random

import msgspec

from arbiter.domain.ids import UserId

CODE_MS = 10 * 60 * 1000
"""How long a code can be used, and how long who guessed too often must wait."""
TRIES = 5
"""Wrong codes that one Telegram account may give in that time."""
MOST_TRACKED = 10_000
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: 5 bits a letter, none that is taken for another."""
_LENGTH = 16
_ALIKE = str.maketrans("OIL", "011")


class NewCode(msgspec.Struct, frozen=True):
    """A code as its owner is told it, once."""

    code: str
    expires_ms: int


class TooManyTries(Exception):
    """This Telegram account gave too many wrong codes; `wait_ms` until it may try again."""

    def __init__(self, wait_ms: int) -> None:
        super().__init__("too many wrong codes")
        self.wait_ms = wait_ms


class LinkCodes:
    """The codes that are open now: at most one a user."""

    def __init__(self) -> None:
        self._open: dict[bytes, tuple[UserId, int]] = {}
        self._of_user: dict[UserId, bytes] = {}
        self._tries: dict[int, tuple[int, int]] = {}
        """Telegram id -> (wrong codes, until when they count)."""

    def create(self, user: UserId, now_ms: int, random: Random) -> NewCode:
        """A new code of 80 bits; it takes the place of the user's last one."""
        bits = random.getrandbits(5 * _LENGTH)
        code = "".join(_LETTERS[bits >> 5 * place & 31] for place in range(_LENGTH))
        self.withdraw(user)
        self._open[_hashed(code)] = (user, now_ms + CODE_MS)
        self._of_user[user] = _hashed(code)
        return NewCode(code, now_ms + CODE_MS)

    def withdraw(self, user: UserId) -> None:
        """The user's open code is worth nothing from now on."""
        before = self._of_user.pop(user, None)
        if before is not None:
            self._open.pop(before, None)

    def redeem(self, code: str, telegram_id: int, now_ms: int) -> UserId | None:
        """Whose code it is, which uses it up; None for one that is wrong, used or expired. Raises TooManyTries."""
        wrong, until = self._tries.get(telegram_id, (0, 0))
        if now_ms >= until:
            wrong = 0
        if wrong >= TRIES:
            raise TooManyTries(until - now_ms)
        user, expires = self._open.get(_hashed(code), (None, 0))
        if user is None or now_ms >= expires:
            self._count_wrong(telegram_id, wrong + 1, now_ms)
            return None
        self.withdraw(user)
        self._tries.pop(telegram_id, None)
        return user

    def _count_wrong(self, telegram_id: int, wrong: int, now_ms: int) -> None:
        if len(self._tries) >= MOST_TRACKED:
            self._tries = {who: entry for who, entry in self._tries.items() if entry[1] > now_ms}
            if len(self._tries) >= MOST_TRACKED:
                self._tries.pop(next(iter(self._tries)))
        self._tries[telegram_id] = (wrong, now_ms + CODE_MS)


def _hashed(code: str) -> bytes:
    """Of the code as it is meant: case, spaces, hyphens and letters that look like digits do not matter."""
    meant = "".join(code.split()).replace("-", "").upper().translate(_ALIKE)
    return hashlib.sha256(meant.encode()).digest()
