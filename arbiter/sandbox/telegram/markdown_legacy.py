"""Parse mode Markdown, the old one: no nesting, a backslash before one of four characters only. The errors' words are Telegram's."""

from arbiter.sandbox.telegram.links import link_url
from arbiter.sandbox.telegram.markup import TextBuilder, unparsable
from arbiter.sandbox.telegram.types import Entity

ESCAPABLE = "_*`["
KINDS = {"_": "italic", "*": "bold", "`": "code"}


def parse(source: str) -> tuple[str, list[Entity]]:
    """The text and its entities. Raises Refusal with the byte offset of an entity that does not end."""
    out, at = TextBuilder(), 0
    while at < len(source):
        char = source[at]
        if char == "\\" and source[at + 1 : at + 2] and source[at + 1] in ESCAPABLE:
            out.add(source[at + 1])
            at += 2
        elif char not in ESCAPABLE:
            out.add(char)
            at += 1
        else:
            at = _entity(source, at, out)
    return out.text, out.entities


def _entity(source: str, at: int, out: TextBuilder) -> int:
    """Take one entity; where it ends in the source."""
    fence = "]" if source[at] == "[" else "```" if source.startswith("```", at) else source[at]
    begin = at + (3 if fence == "```" else 1)
    end = source.find(fence, begin)
    if end < 0:
        raise unparsable(f"Can't find end of the entity starting at byte offset {len(source[:at].encode('utf-8', 'surrogatepass'))}")
    inner, since, after = source[begin:end], out.length, end + len(fence)
    if fence == "]":
        return _link(source, inner, after, out)
    language = None
    if fence == "```":
        language, inner = _language(inner)
    out.add(inner)
    out.mark("pre" if fence == "```" else KINDS[fence], since, language=language)
    return after


def _link(source: str, label: str, after: int, out: TextBuilder) -> int:
    """[label](address); without an address, the label counts as one."""
    since, address = out.length, label
    if source.startswith("(", after):
        end = source.find(")", after)
        end = len(source) if end < 0 else end
        address, after = source[after + 1 : end], end + 1
    out.add(label)
    if url := link_url(address):
        out.mark("text_link", since, url=url)
    return after


def _language(inner: str) -> tuple[str | None, str]:
    """A first line that is one word names the language of a block."""
    first, newline, rest = inner.partition("\n")
    word = first.strip()
    if newline and word and not any(char.isspace() for char in word):
        return word, rest
    return None, rest if newline and not word else inner
