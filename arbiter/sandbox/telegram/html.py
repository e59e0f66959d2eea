"""Parse mode HTML: the few tags of https://core.telegram.org/bots/api#html-style; the words of the errors are Telegram's."""

import re
from typing import NamedTuple

from arbiter.sandbox.telegram.links import link_url
from arbiter.sandbox.telegram.markup import TextBuilder, unparsable
from arbiter.sandbox.telegram.types import Entity

KINDS = {
    **{"b": "bold", "strong": "bold", "i": "italic", "em": "italic", "u": "underline", "ins": "underline"},
    **{"s": "strikethrough", "strike": "strikethrough", "del": "strikethrough", "tg-spoiler": "spoiler", "span": "spoiler"},
    **{"a": "text_link", "code": "code", "pre": "pre", "blockquote": "blockquote", "tg-emoji": "custom_emoji"},
}
REFERENCES = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}
REFERENCE = re.compile(r"&(?:#x([0-9A-Fa-f]{1,8})|#([0-9]{1,10})|(lt|gt|amp|quot));?")
TAG_NAME = re.compile(r"[^\s>]*")
ATTRIBUTE_NAME = re.compile(r"[^\s=>]*")
PLAIN = re.compile(r"[^&<]*")
SPACE = re.compile(r"\s*")
BARE_VALUE = re.compile(r"[A-Za-z0-9.-]*")


class Open(NamedTuple):
    """A tag whose end has not come yet, and the length of the text before it."""

    tag: str
    since: int
    attributes: dict[str, str]


def parse(source: str) -> tuple[str, list[Entity]]:
    """The text and its entities. Raises Refusal with the byte offset of what is wrong."""
    return _Parser(source).run()


class _Parser:
    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._out = TextBuilder()
        self._open: list[Open] = []

    def run(self) -> tuple[str, list[Entity]]:
        while self._at < len(self._source):
            char = self._source[self._at]
            if char == "&" and (found := REFERENCE.match(self._source, self._at)) and (meant := _decode(found)):
                self._out.add(meant)
                self._at = found.end()
            elif char != "<":
                self._out.add(char + self._take(PLAIN, self._at + 1))
            elif self._source.startswith("</", self._at):
                self._end_tag()
            else:
                self._start_tag()
        if self._open:
            raise unparsable(f'Can\'t find end tag corresponding to start tag "{self._open[-1].tag}"')
        return self._out.text, self._out.entities

    def _start_tag(self) -> None:
        begin = self._at
        name = self._take(TAG_NAME, begin + 1)
        tag = name.lower()
        if self._at >= len(self._source):
            raise unparsable(f"Unclosed start tag at byte offset {self._bytes(begin)}")
        if tag not in KINDS:
            raise unparsable(f'Unsupported start tag "{name}" at byte offset {self._bytes(begin)}')
        attributes = self._attributes(tag, begin)
        if tag == "span" and attributes.get("class") != "tg-spoiler":
            raise unparsable(f'Tag "span" must have class "tg-spoiler" at byte offset {self._bytes(begin)}')
        self._open.append(Open(tag, self._out.length, attributes))

    def _attributes(self, tag: str, begin: int) -> dict[str, str]:
        """All up to the `>`, which is taken."""
        found: dict[str, str] = {}
        unclosed = unparsable(f'Unclosed start tag "{tag}" at byte offset {self._bytes(begin)}')
        while True:
            self._take(SPACE, self._at)
            if self._source.startswith(">", self._at):
                self._at += 1
                return found
            name = self._take(ATTRIBUTE_NAME, self._at)
            if self._at >= len(self._source):
                raise unclosed
            if not name:
                raise unparsable(f'Empty attribute name in the tag "{tag}" at byte offset {self._bytes(begin)}')
            self._take(SPACE, self._at)
            if not self._source.startswith("=", self._at):
                if name.lower() == "expandable":
                    found["expandable"] = ""
                    continue
                raise unparsable(
                    f'Expected equal sign in declaration of an attribute of the tag "{tag}" at byte offset {self._bytes(begin)}'
                )
            self._take(SPACE, self._at + 1)
            value = self._value()
            if value is None:
                raise unclosed
            found[name.lower()] = value

    def _value(self) -> str | None:
        quote = self._source[self._at : self._at + 1]
        if not quote:
            return None
        if quote not in "\"'":
            return self._take(BARE_VALUE, self._at).lower()
        end = self._source.find(quote, self._at + 1)
        if end < 0:
            return None
        raw, self._at = self._source[self._at + 1 : end], end + 1
        return REFERENCE.sub(lambda found: _decode(found) or found.group(), raw)

    def _end_tag(self) -> None:
        begin = self._at
        name = self._take(TAG_NAME, begin + 2).lower()
        self._take(SPACE, self._at)
        if not self._open:
            raise unparsable(f"Unexpected end tag at byte offset {self._bytes(begin)}")
        if not self._source.startswith(">", self._at):
            raise unparsable(f"Unclosed end tag at byte offset {self._bytes(begin)}")
        self._at += 1
        opened = self._open.pop()
        if name and name != opened.tag:
            where = f"at byte offset {self._bytes(begin)}"
            raise unparsable(f'Unmatched end tag {where}, expected "</{opened.tag}>", found "</{name}>"')
        self._close(opened)

    def _close(self, opened: Open) -> None:
        kind = KINDS[opened.tag]
        if kind == "text_link":
            if url := link_url(opened.attributes.get("href") or self._out.text_since(opened.since)):
                self._out.mark(kind, opened.since, url=url)
        elif kind == "custom_emoji":
            self._out.mark(kind, opened.since, emoji=opened.attributes.get("emoji-id", ""))
        elif kind == "blockquote":
            self._out.mark("expandable_blockquote" if "expandable" in opened.attributes else kind, opened.since)
        elif kind == "code" and self._names_language(opened):
            return
        elif kind == "pre":
            self._end_pre(opened)
        else:
            self._out.mark(kind, opened.since)

    def _names_language(self, opened: Open) -> bool:
        """<pre><code class="language-x">: the inner tag only names the language of the block."""
        css = opened.attributes.get("class", "")
        if not css.startswith("language-") or not self._open or self._open[-1].tag != "pre" or self._open[-1].since != opened.since:
            return False
        self._open[-1].attributes["language"] = css.removeprefix("language-")
        self._open[-1].attributes["language-end"] = str(self._out.length)
        return True

    def _end_pre(self, opened: Open) -> None:
        whole = opened.attributes.get("language-end") == str(self._out.length)
        self._out.mark("pre", opened.since, language=opened.attributes.get("language") if whole else None)

    def _take(self, pattern: re.Pattern[str], at: int) -> str:
        found = pattern.match(self._source, at)
        assert found is not None  # every pattern here matches nothing, too
        self._at = found.end()
        return found.group()

    def _bytes(self, at: int) -> int:
        return len(self._source[:at].encode("utf-8", "surrogatepass"))


def _decode(found: re.Match[str]) -> str | None:
    """The character of a reference; None where there is no such character."""
    hexadecimal, decimal, name = found.groups()
    if name:
        return REFERENCES[name]
    code = int(hexadecimal, 16) if hexadecimal else int(decimal)
    return chr(code) if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000 else None
