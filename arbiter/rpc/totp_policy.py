"""Which calls need a code of the caller's authenticator, in which mode.

In live mode: resuming, enabling a strategy, an order above the user's threshold, raising that threshold. In the sandbox
and on paper the same, but only of those who enrolled an authenticator. Stopping, cancelling and switching off never.
"""

from typing import Literal

import msgspec


class TotpPolicy(msgspec.Struct, frozen=True):
    """`mode` is that of the program: sandbox, paper or live."""

    mode: Literal["sandbox", "paper", "live"] = "sandbox"

    def asks(self, *, enrolled: bool) -> bool:
        """Whether a call that may need a code does, of a user who enrolled an authenticator or did not."""
        return enrolled or self.mode == "live"


DEFAULT_POLICY = TotpPolicy()
