"""Callback data. Contract names travel as they are: they act on the presser's own account and on nothing else.

Everything else is `action~seal`, where the seal binds the action to one user: a button that somebody else presses, or data
that was made up, is known by it. Nothing has to be remembered, so old buttons work after a restart.
"""

import base64
import hashlib
import hmac

OPEN_ACTIONS = frozenset({"positions", "wallet", "arb_start", "arb_stop", "copy_list"})
LIMIT = 64
"""Bytes of callback data that Telegram takes."""
_SEAL_BYTES = 9


class Buttons:
    """Seals and opens callback data. `secret` is the bot's own."""

    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha256(b"arbiter callback data\0" + secret.encode()).digest()

    def seal(self, action: str, user: int) -> str:
        """Callback data for a button of this user."""
        data = action if action in OPEN_ACTIONS else f"{action}~{self._seal(action, user)}"
        if len(data.encode()) > LIMIT:
            raise ValueError(f"callback data of {action!r} is too long")
        return data

    def open(self, data: str, user: int) -> str | None:
        """The action, if this user may do it by this button; None for another's or a forged one."""
        if data in OPEN_ACTIONS:
            return data
        action, tilde, seal = data.rpartition("~")
        if not tilde or not seal.isascii() or not hmac.compare_digest(seal, self._seal(action, user)):
            return None
        return action

    def _seal(self, action: str, user: int) -> str:
        whole = hmac.new(self._key, f"{user}\0{action}".encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(whole[:_SEAL_BYTES]).decode()
