"""The WebSocket's private channels: frames -> what the domain calls them (B8). Pure; no socket, no clock.

Of these only `order_group_updates` counts its frames (`seq`): a lost fill or order shows in nothing, so that who follows an account
reads orders, fills and positions again from time to time, and after each reconnect once it is subscribed (B12).
"""

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import msgspec

from arbiter.domain.account_events import AccountEvent
from arbiter.venues.kalshi import wire
from arbiter.venues.kalshi.account_rows import to_fill, to_group_event, to_order, to_position
from arbiter.venues.kalshi.fields import Fields, UnreadableAnswer
from arbiter.venues.wire_numbers import UNDECODABLE, MalformedFrame

ORDERS, FILLS, POSITIONS, GROUPS = "user_orders", "fill", "market_positions", "order_group_updates"
ACCOUNT_CHANNELS = (ORDERS, FILLS, POSITIONS, GROUPS)
"""Subscribed to without markets they tell of all. `wire.subscribe` makes the command."""
_READERS: MappingProxyType[str, Callable[[Fields], AccountEvent]] = MappingProxyType(
    {"user_order": to_order, "fill": to_fill, "market_position": to_position, "order_group_updates": to_group_event}
)
_decode = msgspec.json.Decoder(float_hook=str).decode


class AccountFrame(msgspec.Struct, frozen=True):
    """A frame of a private channel; `seq` 0 where the channel has none."""

    event: AccountEvent
    sid: int = 0
    seq: int = 0


def decode(frame: bytes) -> AccountFrame | wire.Frame:
    """One frame of a connection that follows an account; what is not of a private channel as `wire.decode` gives it.

    Raises MalformedFrame, also for a private frame that cannot be read: something happened, and only reading over REST tells what.
    """
    try:
        loose: Any = _decode(frame)
    except UNDECODABLE as error:
        raise MalformedFrame(str(error)) from None
    kind = loose.get("type") if isinstance(loose, dict) else None
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        return wire.decode(frame)
    try:
        fields = Fields(loose)
        return AccountFrame(reader(fields.need_inner("msg")), fields.number("sid") or 0, fields.number("seq") or 0)
    except UnreadableAnswer as error:
        raise MalformedFrame(f"{kind}: {error}") from None
