"""Text as Telegram takes it: data escaped, user input cut, long answers split. Pure."""

import html
import re

LIMIT = 4096
"""Characters of one message, after Telegram has read its entities. Counted here with the markup, so that it is never more."""
SHOWN = 40
"""How much of what a user typed is repeated to them."""

_TAG = re.compile(r"</?[a-z]+>|&(?:[a-z]+|#x?[0-9a-f]+);")


def escape(data: str) -> str:
    """Data as literal text in HTML parse mode, on one line and without control characters."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in data).split())
    return html.escape(plain, quote=False)


def shown(typed: str) -> str:
    """What a user typed, cut and escaped, as code: so no address or command in it becomes a link."""
    return f"<code>{escape(cut(typed, SHOWN))}</code>"


def cut(data: str, most: int) -> str:
    """At most `most` characters, with an ellipsis where something is missing."""
    return data if len(data) <= most else data[: most - 1] + "…"


def length(text: str) -> int:
    """How Telegram counts: UTF-16 code units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def split(text: str, limit: int = LIMIT) -> list[str]:
    """The text in pieces of at most `limit`, cut between lines; a line longer than that is cut without breaking markup.

    Our views open and close their tags within one line, so that pieces of whole lines are valid HTML. Never empty pieces.
    """
    pieces: list[str] = []
    current = ""
    for line in text.split("\n"):
        for part in _parts(line, limit):
            joined = f"{current}\n{part}" if current else part
            if length(joined) <= limit:
                current = joined
            else:
                pieces.append(current)
                current = part
    pieces.append(current)
    return [piece for piece in (p.strip("\n") for p in pieces) if piece.strip()]


def _parts(line: str, limit: int) -> list[str]:
    if length(line) <= limit:
        return [line]
    # a line this long holds no markup of ours worth keeping: its tags go, its entities stay whole
    tokens: list[str] = []
    position = 0
    for match in _TAG.finditer(line):
        tokens += list(line[position : match.start()])
        if match.group().startswith("&"):
            tokens.append(match.group())
        position = match.end()
    tokens += list(line[position:])
    parts: list[str] = []
    current: list[str] = []
    size = 0
    for token in tokens:
        if size + length(token) > limit and current:
            parts.append("".join(current))
            current, size = [], 0
        current.append(token)
        size += length(token)
    return [*parts, "".join(current)]
