"""A user's second factor as it is stored: the sealed secret, the newest step that was used, the recovery codes that are left."""

import msgspec

from arbiter.domain.ids import UserId


class SecondFactor(msgspec.Struct, frozen=True):
    """A confirmed authenticator. A code of `last_step` or before is used up. `recovery`: keyed digests, one a code that is left.

    `sealed` is the secret, encrypted and bound to the user. `since_ms`: when it was confirmed (UTC).
    """

    user: UserId
    sealed: bytes
    last_step: int
    recovery: tuple[bytes, ...]
    since_ms: int
