"""HTTP/2's frames as numbers and bytes (RFC 9113, sections 4, 6 and 7). Pure."""

from collections.abc import Callable, Iterable
from enum import IntEnum
from struct import Struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client sends before its first frame."""

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)

END_STREAM = 0x1
ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
WITH_PRIORITY = 0x20

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = range(1, 7)

HEAD_SIZE = 9
DEFAULT_WINDOW = 65_535
LARGEST_WINDOW = 2**31 - 1
LEAST_FRAME = 16_384
"""The largest payload that everybody takes, and the only one that we ask for and send."""
LARGEST_FRAME = 2**24 - 1
LARGEST_ID = 2**31 - 1


class Code(IntEnum):
    """Why a stream or a connection ends."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


head: Callable[[int, int, int, int, int], bytes] = Struct(">HBBBL").pack
"""A frame's head from length >> 8, length & 0xff, type, flags, stream."""
read_head = Struct(">BBL").unpack_from
"""Type, flags and stream (its reserved bit still in it), from the fourth byte of a head on."""
number: Callable[[int], bytes] = Struct(">L").pack
_setting = Struct(">HL")
_two_numbers = Struct(">LL")


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame. The payload is at most what the peer takes; nobody checks."""
    length = len(payload)
    return head(length >> 8, length & 0xFF, kind, flags, stream) + payload


def settings(values: Iterable[tuple[int, int]]) -> bytes:
    """A SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(_setting.pack(key, value) for key, value in values))


def read_settings(payload: bytes) -> list[tuple[int, int]]:
    """The pairs of a SETTINGS payload, whose length is a multiple of six."""
    return list(_setting.iter_unpack(payload))


def goaway(last_stream: int, code: int, text: str = "") -> bytes:
    """A GOAWAY frame: no stream above this one was or will be looked at."""
    return frame(GOAWAY, 0, 0, _two_numbers.pack(last_stream, code) + text.encode()[:200])


def reset(stream: int, code: int) -> bytes:
    """A RST_STREAM frame."""
    return frame(RST_STREAM, 0, stream, number(code))


def window_update(stream: int, more: int) -> bytes:
    """A WINDOW_UPDATE frame; stream 0 is the connection."""
    return frame(WINDOW_UPDATE, 0, stream, number(more))


def read_number(payload: bytes) -> int:
    """A 31-bit number at the start of a payload, its reserved bit dropped."""
    return int.from_bytes(payload[:4], "big") & LARGEST_ID
