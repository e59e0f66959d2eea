"""One-time codes of an authenticator app (RFC 6238: HMAC-SHA-1, 30 s, 6 digits) and recovery codes.

Written with the standard library: the algorithm is five lines, and what makes it safe (the window, no step twice, the
comparison, the throttle) is ours to decide anyway. SHA-1 because authenticator apps ignore what else an address asks for;
HMAC does not need a hash that resists collisions.
"""

import base64
import hmac
from hashlib import sha1
from random import Random

STEP_SECONDS = 30
DIGITS = 6
WINDOW = 1
"""So many steps before and after now are taken too: clocks differ, and typing takes time."""
SECRET_BYTES = 20
RECOVERY_CODES = 10
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32."""
_ALIKE = str.maketrans("OIL", "011")
_RECOVERY_LETTERS = 16


def code_at(secret: bytes, step: int, digits: int = DIGITS) -> str:
    """The code of one step (RFC 4226, section 5.3)."""
    mac = hmac.new(secret, step.to_bytes(8, "big"), sha1).digest()
    at = mac[-1] & 0xF
    return str((int.from_bytes(mac[at : at + 4], "big") & 0x7FFFFFFF) % 10**digits).zfill(digits)


def step_at(now_ms: int) -> int:
    """The step that a UTC time falls in."""
    return now_ms // (STEP_SECONDS * 1000)


def matching_step(secret: bytes, code: str, now_ms: int, last_step: int) -> int | None:
    """The step whose code this is, or None. Steps up to `last_step` are used up: nobody can repeat a code that he saw.

    Every step of the window is compared, whichever matches, so that time tells nothing.
    """
    given = code.strip().replace(" ", "").encode()
    found = None
    for step in range(max(0, step_at(now_ms) - WINDOW), step_at(now_ms) + WINDOW + 1):
        if hmac.compare_digest(given, code_at(secret, step).encode()) and step > last_step:
            found = step
    return found


def is_code(text: str) -> bool:
    """Whether this has the form of an authenticator's code; anything else may be a recovery code."""
    bare = text.strip().replace(" ", "")
    return len(bare) == DIGITS and bare.isascii() and bare.isdigit()


def spelt(secret: bytes) -> str:
    """The secret as one types it into an app: base 32 without padding."""
    return base64.b32encode(secret).decode().rstrip("=")


def new_secret(random: Random) -> bytes:
    """160 random bits, as RFC 4226 recommends."""
    return random.getrandbits(8 * SECRET_BYTES).to_bytes(SECRET_BYTES, "big")


def new_recovery_codes(random: Random) -> tuple[str, ...]:
    """Ten codes of 80 bits, in groups of four letters."""
    return tuple(_recovery_code(random.getrandbits(5 * _RECOVERY_LETTERS)) for _ in range(RECOVERY_CODES))


def _recovery_code(bits: int) -> str:
    letters = "".join(_LETTERS[bits >> 5 * place & 31] for place in range(_RECOVERY_LETTERS))
    return "-".join(letters[at : at + 4] for at in range(0, _RECOVERY_LETTERS, 4))


def meant(recovery_code: str) -> str:
    """A recovery code as it is meant: case, spaces, hyphens and letters that look like digits do not matter."""
    return "".join(recovery_code.split()).replace("-", "").upper().translate(_ALIKE)
