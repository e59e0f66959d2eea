"""What a venue says when it refuses: one code and one text out of the shapes that it comes in.

Kalshi (B6.3): `{"error":{"code","message","details"}}`, the same three at the top level, `{"error":"too many requests"}`.
Polymarket (A5.4): `{"error":"...","code"?,"retry_after_seconds"?}`, `{"error_msg":"..."}`, `{"errorMsg":"..."}`. Anything
else is named, never shown: pages of a proxy, garbage.
"""

import re
from typing import Any, NamedTuple

import msgspec

from arbiter.venues.wire_numbers import UNDECODABLE

LONGEST_TEXT = 200
LONGEST_CODE = 60
_LOOKED_AT = 2048
_TEXTS = ("message", "error_msg", "errorMsg", "error", "detail", "msg")
_TITLE = re.compile(rb"<title[^>]*>([^<]{1,200})", re.IGNORECASE)
_MOST_SECONDS = 1e6


class Refusal(NamedTuple):
    """`code` is the venue's own, empty where it names none; `text` is one short line for a person."""

    code: str
    text: str
    retry_after_seconds: float | None = None


def read_refusal(body: bytes) -> Refusal:
    """What the body of a refused request says. Never raises."""
    try:
        said: Any = msgspec.json.decode(body)
    except UNDECODABLE:
        return Refusal("", describe(body))
    if isinstance(said, str):
        return Refusal("", _line(said) or "no reason given")
    if not isinstance(said, dict):
        return Refusal("", "no reason given")
    inner = said.get("error")
    fields = inner if isinstance(inner, dict) else said
    text = next((line for name in _TEXTS if (line := _line(fields.get(name)))), "")
    details = _line(fields.get("details"))
    text = f"{text}: {details}" if text and details and details != text else text or details
    code = _line(fields.get("code"), LONGEST_CODE)
    return Refusal(code, text[:LONGEST_TEXT] or code or "no reason given", _seconds(said.get("retry_after_seconds")))


def describe(body: bytes) -> str:
    """A body that is not JSON, in a few words."""
    if not body:
        return "an empty body"
    head = body[:_LOOKED_AT]
    if head.lstrip()[:1] == b"<":
        title = _TITLE.search(head)
        return f"a page titled {_line(title.group(1).decode('utf-8', 'replace'), LONGEST_CODE)!r}" if title else "a page of HTML or XML"
    return f"{len(body)} bytes that are no JSON"


def _line(value: object, longest: int = LONGEST_TEXT) -> str:
    """Text, or a number, as one printable line; nothing for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    text = str(value)[: 4 * longest] if isinstance(value, str) else f"{value:d}"[:longest]
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[:longest]


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _MOST_SECONDS else None
