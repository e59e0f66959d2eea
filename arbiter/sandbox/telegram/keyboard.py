"""What a bot hangs below a message: inline keyboards are read and checked, other kinds of markup are accepted and not kept."""

from arbiter.sandbox.telegram.params import Json, Params
from arbiter.sandbox.telegram.refusal import bad_request
from arbiter.sandbox.telegram.types import Button, InlineKeyboard

LARGEST_DATA = 64
"""Bytes of `callback_data`."""
MOST_BUTTONS = 100
MOST_IN_A_ROW = 8
LARGEST_URL = 2048
LARGEST_LABEL = 1024


def read_keyboard(params: Params) -> InlineKeyboard | None:
    """The `reply_markup` of a call; None when there is none, or another kind than inline. Raises Refusal."""
    markup = params.structure("reply_markup", "reply keyboard markup")
    if markup is None:
        return None
    if not isinstance(markup, dict):
        raise bad_request("object expected as reply markup")
    rows = markup.get("inline_keyboard")
    if rows is None:
        return None
    if not isinstance(rows, list):
        raise bad_request('Field "inline_keyboard" must be of type Array')
    kept = tuple(row for row in (_row(row) for row in rows) if row)
    if sum(map(len, kept)) > MOST_BUTTONS:
        raise bad_request("REPLY_MARKUP_TOO_LONG")
    return InlineKeyboard(kept) if kept else None


def _row(row: object) -> tuple[Button, ...]:
    if not isinstance(row, list):
        raise bad_request('Field "inline_keyboard" must be an Array of Arrays')
    if len(row) > MOST_IN_A_ROW:
        raise bad_request("BUTTON_ROW_TOO_LONG")
    return tuple(_button(each) for each in row)


def _button(given: object) -> Button:
    if not isinstance(given, dict):
        raise _unreadable("Inline keyboard button must be an Object")
    text, data, url = (_field(given, name) for name in ("text", "callback_data", "url"))
    if not text:
        raise _unreadable('Field "text" must be non-empty' if text == "" else 'Can\'t find field "text"')
    if len(text) > LARGEST_LABEL:
        raise bad_request("BUTTON_TEXT_INVALID")
    if url is not None:
        if not url.startswith(("http://", "https://", "tg://")) or len(url) > LARGEST_URL or " " in url:
            raise bad_request(f"inline keyboard button URL '{url[:200]}' is invalid: Wrong HTTP URL")
        return Button(text, None, url)
    if data is None:
        raise _unreadable("Text buttons are unallowed in the inline keyboard")
    if not data or len(data.encode("utf-8", "replace")) > LARGEST_DATA:
        raise bad_request("BUTTON_DATA_INVALID")
    return Button(text, data)


def _field(given: dict[str, Json] | dict[object, object], name: str) -> str | None:
    value = given.get(name)
    if value is not None and not isinstance(value, str):
        raise _unreadable(f'Field "{name}" must be of type String')
    return value


def _unreadable(why: str) -> Exception:
    return bad_request(f"can't parse inline keyboard button: {why}")
