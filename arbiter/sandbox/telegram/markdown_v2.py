"""Parse mode MarkdownV2. Rules: https://core.telegram.org/bots/api#markdownv2-style; the words of the errors are Telegram's."""

from typing import NamedTuple

from arbiter.sandbox.telegram.links import custom_emoji, link_url
from arbiter.sandbox.telegram.markup import TextBuilder, unparsable
from arbiter.sandbox.telegram.types import Entity

RESERVED = frozenset("_*[]()~`>#+-=|{}.!")
MARKS = {"__": "underline", "||": "spoiler", "_": "italic", "*": "bold", "~": "strikethrough"}
NAMES = {
    **{"underline": "Underline", "spoiler": "Spoiler", "italic": "Italic", "bold": "Bold", "strikethrough": "Strikethrough"},
    **{"code": "Code", "pre": "Pre", "pre_code": "PreCode", "text_link": "TextUrl", "custom_emoji": "CustomEmoji"},
}
LINE_ENDS = "\r\n"


class Open(NamedTuple):
    """An entity whose end has not come yet: where it began in the source, and in the text."""

    kind: str
    at: int
    since: int


def parse(source: str) -> tuple[str, list[Entity]]:
    """The text and its entities. Raises Refusal with the byte offset of what is wrong."""
    return _Parser(source).run()


class _Parser:
    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._out = TextBuilder()
        self._open: list[Open] = []
        self._quote: int | None = None
        self._expandable = False

    def run(self) -> tuple[str, list[Entity]]:
        while self._at < len(self._source):
            self._step()
        if self._open:
            raise self._no_end(self._open[-1])
        if self._quote is not None:
            self._end_quote()
        return self._out.text, self._out.entities

    def _step(self) -> None:
        source, at = self._source, self._at
        char = source[at]
        if char == "\\" and at + 1 < len(source) and ord(source[at + 1]) < 127:
            self._out.add(source[at + 1])
            self._at += 2
        elif self._at_line_start() and self._quote_line():
            return
        elif char in "\r\n" and self._quote is not None:
            self._line_end()
        elif char not in RESERVED:
            self._out.add(char)
            self._at += 1
        else:
            self._mark(char)

    # -- quotes: lines that begin with > --

    def _at_line_start(self) -> bool:
        return self._at == 0 or self._source[self._at - 1] in LINE_ENDS or (self._at == 1 and self._source[0] == "*" and bool(self._open))

    def _quote_line(self) -> bool:
        """Take the beginning of a line of a quotation."""
        if self._source.startswith(">", self._at):
            self._at += 1
        elif self._source.startswith("**>", self._at) and not self._open:
            self._at += 3
            if self._quote is not None:
                self._end_quote()
        else:
            return False
        if self._quote is None:
            self._quote = self._out.length
        return True

    def _line_end(self) -> None:
        """A quotation ends with its last line, and nothing that it opened may go on."""
        self._out.add(self._source[self._at])
        self._at += 1
        more = self._at < len(self._source) and self._source[self._at] in "\r\n>"
        if not more:
            inside = [each for each in self._open if each.since >= (self._quote or 0)]
            if inside:
                raise self._no_end(inside[-1])
            self._end_quote()

    def _end_quote(self) -> None:
        assert self._quote is not None
        self._out.mark("expandable_blockquote" if self._expandable else "blockquote", self._quote)
        self._quote, self._expandable = None, False

    # -- everything else --

    def _mark(self, char: str) -> None:
        mark = next((each for each in MARKS if self._source.startswith(each, self._at)), None)
        if mark and self._is_expander(mark):
            self._expandable = True
            self._at += 2
        elif self._open and self._closes(mark, char):
            self._close(mark or char)
        elif mark:
            self._open.append(Open(MARKS[mark], self._at, self._out.length))
            self._at += len(mark)
        elif char == "`":
            self._verbatim()
        elif char == "[" or self._source.startswith("![", self._at):
            kind = "text_link" if char == "[" else "custom_emoji"
            self._open.append(Open(kind, self._at, self._out.length))
            self._at += 1 if char == "[" else 2
        else:
            raise unparsable(f"Character '{char}' is reserved and must be escaped with the preceding '\\'")

    def _is_expander(self, mark: str) -> bool:
        """`||` at the end of a quotation's last line, with no spoiler to close, makes it expandable."""
        if mark != "||" or self._quote is None or any(each.kind == "spoiler" for each in self._open):
            return False
        rest = self._source[self._at + 2 :]
        return not rest or (rest[0] in LINE_ENDS and not rest.lstrip(LINE_ENDS).startswith(">"))

    def _closes(self, mark: str | None, char: str) -> bool:
        kind = self._open[-1].kind
        if kind in ("text_link", "custom_emoji"):
            return char == "]"
        return mark is not None and MARKS[mark] == kind

    def _close(self, mark: str) -> None:
        opened = self._open.pop()
        self._at += len(mark)
        if opened.kind == "text_link":
            self._end_link(opened)
        elif opened.kind == "custom_emoji":
            self._end_emoji(opened)
        else:
            self._out.mark(opened.kind, opened.since)

    def _end_link(self, opened: Open) -> None:
        label = self._out.text_since(opened.since)
        url = self._address("a URL") if self._source.startswith("(", self._at) else label
        if found := link_url(url or ""):
            self._out.mark("text_link", opened.since, url=found)

    def _end_emoji(self, opened: Open) -> None:
        if not self._source.startswith("(", self._at):
            raise unparsable("Custom emoji entity must contain a tg://emoji URL")
        self._out.mark("custom_emoji", opened.since, emoji=custom_emoji(self._address("a custom emoji URL")))

    def _address(self, what: str) -> str:
        """What stands in the parentheses."""
        begin = self._at
        self._at += 1
        url = []
        while self._at < len(self._source) and self._source[self._at] != ")":
            if self._source[self._at] == "\\" and self._at + 1 < len(self._source) and ord(self._source[self._at + 1]) < 127:
                self._at += 1
            url.append(self._source[self._at])
            self._at += 1
        if self._at >= len(self._source):
            raise unparsable(f"Can't find end of {what} at byte offset {self._bytes(begin)}")
        self._at += 1
        return "".join(url)

    def _verbatim(self) -> None:
        """`code`, or a ```pre``` whose first word may name a language."""
        begin, since = self._at, self._out.length
        fence = "```" if self._source.startswith("```", begin) else "`"
        self._at += len(fence)
        language = self._language() if fence == "```" else None
        while not self._source.startswith(fence, self._at):
            if self._at >= len(self._source):
                kind = "code" if fence == "`" else "pre" if language is None else "pre_code"
                raise self._no_end(Open(kind, begin, since))
            if self._source[self._at] == "\\" and self._at + 1 < len(self._source) and ord(self._source[self._at + 1]) < 127:
                self._at += 1
            self._out.add(self._source[self._at])
            self._at += 1
        self._at += len(fence)
        self._out.mark("code" if fence == "`" else "pre", since, language=language)

    def _language(self) -> str | None:
        """The word after the fence, when more follows it, with one line end."""
        end = self._at
        while end < len(self._source) and not self._source[end].isspace() and self._source[end] != "`":
            end += 1
        if end == len(self._source) or self._source[end] == "`":
            return None
        word, self._at = self._source[self._at : end], end
        if self._source[self._at] in LINE_ENDS:
            pair = self._source[self._at : self._at + 2]
            self._at += 2 if pair in ("\r\n", "\n\r") else 1
        return word or None

    def _no_end(self, opened: Open) -> Exception:
        return unparsable(f"Can't find end of {NAMES[opened.kind]} entity at byte offset {self._bytes(opened.at)}")

    def _bytes(self, at: int) -> int:
        return len(self._source[:at].encode("utf-8", "surrogatepass"))
