"""The text of a call and its formatting, by parse mode or by a list of entities, checked as Telegram checks it."""

import msgspec

from arbiter.sandbox.telegram import html, markdown_legacy, markdown_v2
from arbiter.sandbox.telegram.markup import MOST_ENTITIES, Formatted, finish, units
from arbiter.sandbox.telegram.params import Json, Params
from arbiter.sandbox.telegram.refusal import bad_request
from arbiter.sandbox.telegram.types import Entity

LARGEST_SOURCE = 32_768
"""Characters of text with markup that are looked at, at all."""
LARGEST_TEXT = 4096
LARGEST_CAPTION = 1024
PARSERS = {"markdownv2": markdown_v2.parse, "markdown": markdown_legacy.parse, "html": html.parse}


def read_text(params: Params) -> Formatted:
    """The `text` of a message. Raises Refusal when it is empty, too long or cannot be parsed."""
    text, entities = _formatted(params, "text", "entities", "message is too long")
    if not text:
        raise bad_request("message text is empty")
    if units(text) > LARGEST_TEXT:
        raise bad_request("message is too long")
    return text, entities


def read_caption(params: Params) -> Formatted:
    """The `caption` of a picture or file, which may be empty. Raises Refusal."""
    text, entities = _formatted(params, "caption", "caption_entities", "message caption is too long")
    if units(text) > LARGEST_CAPTION:
        raise bad_request("message caption is too long")
    return text, entities


def _formatted(params: Params, name: str, entities_name: str, too_long: str) -> Formatted:
    source = params.text(name).replace("\0", "").replace("\r\n", "\n")
    if len(source) > LARGEST_SOURCE:
        raise bad_request(too_long)
    mode = params.text("parse_mode").lower()
    if mode and mode != "none":
        if mode not in PARSERS:
            raise bad_request("unsupported parse_mode")
        return finish(*PARSERS[mode](source))
    return finish(source, _given(params.structure(entities_name, "message entities"), units(source)))


def _given(listed: Json, length: int) -> list[Entity]:
    """Entities that the bot counted itself."""
    if listed is None:
        return []
    try:
        entities = msgspec.convert(listed, list[Entity])
    except msgspec.ValidationError as error:
        raise bad_request(f"can't parse MessageEntity: {error}") from None
    for each in entities:
        if each.offset < 0 or each.length <= 0 or each.offset + each.length > length:
            raise bad_request("entity begins or ends after the end of the message text")
    return entities[:MOST_ENTITIES]
