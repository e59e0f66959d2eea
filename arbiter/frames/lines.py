"""The format `arbiter-frames-1`, a struct a line (docs/recordings.md). Pure.

`ns` counts nanoseconds from the start of the recording on a clock that never jumps, and never falls from line to line; `ms` is UTC in
Unix ms as the machine believed it. A connection has a number, `n`, from its opening to its close.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from arbiter.domain.market import Market
from arbiter.domain.pair import Pair

FORMAT = "arbiter-frames-1"
LONGEST_LINE = 64 * 1024 * 1024
"""Bytes. The largest answer of a venue that connectors take is half of it."""
FIRST_BYTES = b'{"format":"arbiter-frames-1"'
"""How every such file begins, once decompressed."""

Count = Annotated[int, msgspec.Meta(ge=0)]
Op = Literal["text", "binary", "ping", "pong"]


class Header(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The first line.

    `hosts`: the base addresses of each venue, by the names that its connector gives them. `markets`: for what was converted and has no
    answers of a catalogue: the catalogue is made of them. `controls`: whether pings and pongs are in the file; where not, the replay
    answers pings itself.
    """

    format: Literal["arbiter-frames-1"]
    started_ms: Count
    hosts: dict[str, dict[str, str]]
    pairs: list[Pair] = []
    markets: list[Market] = []
    controls: bool = True
    source: str = ""
    license: str = ""
    assumptions: str = ""


class Opened(msgspec.Struct, tag_field="k", tag="open", forbid_unknown_fields=True):
    """A WebSocket came to be. `target`: path and query."""

    ns: Count
    ms: Count
    n: Count
    venue: str
    host: str
    target: str


class _Message(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    ns: Count
    ms: Count
    n: Count
    text: str = ""
    data: bytes = b""
    """Instead of `text`, in base64, where it is no UTF-8."""
    op: Op = "text"

    @property
    def payload(self) -> bytes:
        return self.data or self.text.encode()


class Received(_Message, tag_field="k", tag="in"):
    """A whole message, or a ping or pong, of the venue."""


class Sent(_Message, tag_field="k", tag="out"):
    """One of ours, redacted."""


class Closed(msgspec.Struct, tag_field="k", tag="close", forbid_unknown_fields=True, omit_defaults=True):
    """A WebSocket ended. `by`: who ended it; `code`: of its close frame, 0 for none."""

    ns: Count
    ms: Count
    n: Count
    by: Literal["venue", "client"]
    code: Count = 0
    reason: str = ""


class Exchange(msgspec.Struct, tag_field="k", tag="rest", forbid_unknown_fields=True, omit_defaults=True):
    """A request and its whole answer, which was there at `ns`. `status` 0: the connection ended without one.

    `headers`: those of the answer that a connector goes by. A refused WebSocket is one of these, too.
    """

    ns: Count
    ms: Count
    venue: str
    host: str
    method: str
    target: str
    status: Annotated[int, msgspec.Meta(ge=0, le=999)]
    took_ns: Count = 0
    body: str = ""
    answer: str = ""
    answer_data: bytes = b""
    """Instead of `answer`, in base64, where it is no UTF-8."""
    headers: dict[str, str] = {}

    @property
    def payload(self) -> bytes:
        return self.answer_data or self.answer.encode()


class Gap(msgspec.Struct, tag_field="k", tag="gap", forbid_unknown_fields=True):
    """Something is missing here, and why. Connections that it concerned were ended, so that what follows begins anew."""

    ns: Count
    ms: Count
    why: str


Line = Opened | Received | Sent | Closed | Exchange | Gap

decode_header = msgspec.json.Decoder(Header).decode
decode_line = msgspec.json.Decoder(Line).decode
encode = msgspec.json.Encoder().encode


def message_fields(payload: bytes) -> dict[str, Any]:
    """`text` or `data`, whichever can hold it."""
    try:
        return {"text": payload.decode()}
    except UnicodeDecodeError:
        return {"data": payload}


def answer_fields(payload: bytes) -> Mapping[str, Any]:
    """The same for an answer."""
    return {{"text": "answer", "data": "answer_data"}[name]: value for name, value in message_fields(payload).items()}
