"""Text with entities: counting in UTF-16 units, trimming, and what Telegram finds on its own."""

import re

from arbiter.sandbox.telegram.refusal import Refusal, bad_request
from arbiter.sandbox.telegram.types import Entity

MOST_ENTITIES = 100
VERBATIM = frozenset({"code", "pre"})
FOUND = re.compile(
    r"(?P<url>https?://[^\s<>\"']+[^\s<>\"'.,;:!?)\]])"
    r"|(?<![\w/@])(?P<bot_command>/[A-Za-z0-9_]{1,64}(?:@[A-Za-z0-9_]{3,32})?)(?![\w/@])"
    r"|(?<![\w@/])(?P<mention>@[A-Za-z][A-Za-z0-9_]{3,31})(?!\w)"
    r"|(?<![\w#])(?P<hashtag>#\w*[^\W\d]\w*)"
)
ORDER = ("blockquote", "expandable_blockquote", "pre", "code", "text_link", "text_mention", "bold", "italic", "underline", "strikethrough")
Formatted = tuple[str, tuple[Entity, ...]]


def unparsable(why: str) -> Refusal:
    """400: the markup is wrong."""
    return bad_request(f"can't parse entities: {why}")


def units(text: str) -> int:
    """The length in UTF-16 code units, in which Telegram counts."""
    return len(text) if text.isascii() else len(text) + sum(1 for char in text if ord(char) > 0xFFFF)


class TextBuilder:
    """Text in the making, and the entities in it."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self.length = 0
        """So far, in UTF-16 units."""
        self.entities: list[Entity] = []

    def add(self, text: str) -> None:
        """Append plain text."""
        self._parts.append(text)
        self.length += units(text)

    def mark(self, type_: str, since: int, *, url: str | None = None, language: str | None = None, emoji: str | None = None) -> None:
        """What was appended since that length is one entity, if it is anything."""
        if self.length > since:
            self.entities.append(Entity(type_, since, self.length - since, url, language, None, emoji))

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self._parts)

    def text_since(self, since: int) -> str:
        """What was appended since that length."""
        encoded = self.text.encode("utf-16-le", "surrogatepass")
        return encoded[2 * since :].decode("utf-16-le", "replace")


def finish(text: str, entities: list[Entity], *, detect: bool = True) -> Formatted:
    """As Telegram delivers it: trimmed, entities inside of the text, outer ones first, with the commands and links found in it."""
    body = text.rstrip()
    start = len(body) - len(body.lstrip())
    cut, body = units(body[:start]), body[start:]
    length = units(body)
    kept = []
    for each in entities:
        begin, end = max(0, each.offset - cut), min(length, each.offset + each.length - cut)
        if end > begin:
            kept.append(Entity(each.type, begin, end - begin, each.url, each.language, each.user, each.custom_emoji_id))
    if detect:
        kept += _detect(body, kept)
    kept.sort(key=lambda e: (e.offset, -e.length, ORDER.index(e.type) if e.type in ORDER else len(ORDER)))
    return body, tuple(kept[:MOST_ENTITIES])


def _detect(text: str, taken: list[Entity]) -> list[Entity]:
    """Links, commands, mentions and hashtags that stand in no code and no link."""
    closed = [(e.offset, e.offset + e.length) for e in taken if e.type in VERBATIM or e.type in ("text_link", "text_mention")]
    found, at, offset = [], 0, 0
    for match in FOUND.finditer(text):
        offset += units(text[at : match.start()])
        at = match.start()
        length = units(match.group())
        if not any(begin < offset + length and offset < end for begin, end in closed):
            found.append(Entity(match.lastgroup or "", offset, length))
            if len(found) >= MOST_ENTITIES:
                break
    return found
