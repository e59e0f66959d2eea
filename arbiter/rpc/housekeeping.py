"""What is looked at once a second for each connection: who says nothing, who reads nothing, who is not there any more."""

import math

from purerpc.grpclib.status import StatusCode

from arbiter.rpc.call import Call
from arbiter.rpc.frames import Code
from arbiter.rpc.server_connection import ServerConnection
from arbiter.rpc.server_limits import ServerLimits
from arbiter.rpc.status import own_status

SLOW = own_status(StatusCode.RESOURCE_EXHAUSTED, "this stream is not read; open it anew", "SLOW_READER")


def look_after(connection: ServerConnection, now: float, limits: ServerLimits) -> None:
    """End what has taken too long, and ask who has been silent."""
    wire = connection.wire
    connection.trim()
    if not wire.greeted:
        if now - connection.place.since >= limits.handshake_seconds:
            connection.close()
        return
    if now - wire.half_since >= limits.handshake_seconds:
        connection.close()
        return
    if now - connection.stuck_since >= limits.slow_seconds or now - connection.pinged_at >= limits.pong_seconds:
        connection.close()
        return
    if not wire.streams:  # a call whose end had to wait for window leaves after its handler
        connection.quiet_since = min(connection.quiet_since, now)
    if now - connection.quiet_since >= (
        limits.idle_seconds if connection.place.known else min(limits.idle_seconds, limits.stranger_seconds)
    ):
        wire.go_away(Code.NO_ERROR, "idle")
        connection.flush()
        connection.close_soon()
        return
    if now - connection.heard_at >= limits.silent_seconds and connection.pinged_at == math.inf:
        connection.pinged_at = now
        wire.ping()
        connection.flush()
    for stream in tuple(wire.streams.values()):
        assert isinstance(stream, Call)
        if stream.following is not None:
            stream.following.look(now)
        if stream.pending:
            _look_at_slow(connection, stream, now, limits)
        else:
            stream.stalled = None


def _look_at_slow(connection: ServerConnection, call: Call, now: float, limits: ServerLimits) -> None:
    """A call with something to send: is any of it taken?"""
    if call.stalled is None or call.stalled[1] != call.sent:
        call.stalled = now, call.sent
    elif now - call.stalled[0] >= limits.slow_seconds:
        connection.end(call, SLOW)
