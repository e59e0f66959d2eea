"""Methods that write into a chat: send, edit, delete."""

import msgspec

from arbiter.sandbox.telegram.chats import ChatLog
from arbiter.sandbox.telegram.formatting import read_caption, read_text
from arbiter.sandbox.telegram.keyboard import read_keyboard
from arbiter.sandbox.telegram.params import Params
from arbiter.sandbox.telegram.refusal import bad_request
from arbiter.sandbox.telegram.state import State
from arbiter.sandbox.telegram.types import Document, Message, PhotoSize

UNCHANGED = (
    "message is not modified: specified new message content and reply markup are exactly the same as a current content"
    " and reply markup of the message"
)
DELETABLE_MS = 48 * 3600 * 1000
"""How long a message may be deleted after it was sent."""


def send_message(state: State, params: Params, now_ms: int) -> Message:
    """sendMessage."""
    text, entities = read_text(params)
    log = state.chats.writable(params.text("chat_id"))
    return _send(state, log, params, now_ms, Message(0, 0, log.chat, text=text, entities=entities or None))


def send_photo(state: State, params: Params, now_ms: int) -> Message:
    """sendPhoto: an upload, or a file that was sent before."""
    caption, entities = read_caption(params)
    log = state.chats.writable(params.text("chat_id"))
    kept = state.files.sent(params, "photo")
    if not kept.picture or not kept.width or not kept.height:
        raise bad_request("IMAGE_PROCESS_FAILED")
    if kept.width + kept.height > 10_000 or max(kept.width, kept.height) > 20 * min(kept.width, kept.height):
        raise bad_request("PHOTO_INVALID_DIMENSIONS")
    size = PhotoSize(kept.file_id, kept.unique_id, kept.width, kept.height, len(kept.data))
    draft = Message(0, 0, log.chat, photo=(size,), caption=caption or None, caption_entities=entities or None)
    return _send(state, log, params, now_ms, draft)


def send_document(state: State, params: Params, now_ms: int) -> Message:
    """sendDocument: an upload, or a file that was sent before."""
    caption, entities = read_caption(params)
    log = state.chats.writable(params.text("chat_id"))
    kept = state.files.sent(params, "document")
    document = Document(kept.file_id, kept.unique_id, len(kept.data), kept.name, kept.content_type)
    draft = Message(0, 0, log.chat, document=document, caption=caption or None, caption_entities=entities or None)
    return _send(state, log, params, now_ms, draft)


def edit_text(state: State, params: Params, now_ms: int) -> Message:
    """editMessageText. A keyboard that is not sent again goes."""
    text, entities = read_text(params)
    log, message = _own(state, params, "edit")
    if message.text is None:
        raise bad_request("there is no text in the message to edit")
    edited = msgspec.structs.replace(message, text=text, entities=entities or None, reply_markup=read_keyboard(params))
    return _edit(state, log, message, edited, now_ms)


def edit_caption(state: State, params: Params, now_ms: int) -> Message:
    """editMessageCaption."""
    caption, entities = read_caption(params)
    log, message = _own(state, params, "edit")
    if message.photo is None and message.document is None:
        raise bad_request("there is no caption in the message to edit")
    edited = msgspec.structs.replace(
        message, caption=caption or None, caption_entities=entities or None, reply_markup=read_keyboard(params)
    )
    return _edit(state, log, message, edited, now_ms)


def edit_markup(state: State, params: Params, now_ms: int) -> Message:
    """editMessageReplyMarkup."""
    keyboard = read_keyboard(params)
    log, message = _own(state, params, "edit")
    return _edit(state, log, message, msgspec.structs.replace(message, reply_markup=keyboard), now_ms)


def delete_message(state: State, params: Params, now_ms: int) -> bool:
    """deleteMessage: its own everywhere, others' in a private chat."""
    log, message = _named(state, params, "delete")
    own = message.from_ is not None and message.from_.id == state.bot.id
    if not own and log.chat.type != "private":
        raise bad_request("message can't be deleted for everyone")
    if now_ms - message.date * 1000 > DELETABLE_MS:
        raise bad_request("message can't be deleted for everyone")
    log.remove(message.message_id)
    state.changed(log)
    return True


def _send(state: State, log: ChatLog, params: Params, now_ms: int, draft: Message) -> Message:
    keyboard = read_keyboard(params)
    replied = _replied(log, params)
    state.limiter.count(log.chat.id, now_ms)
    message = msgspec.structs.replace(
        draft,
        message_id=state.chats.next_message_id(now_ms),
        date=now_ms // 1000,
        from_=state.bot if log.chat.type != "channel" else None,
        sender_chat=log.chat if log.chat.type == "channel" else None,
        reply_to_message=replied,
        reply_markup=keyboard,
    )
    log.typing_until = 0
    log.put(message)
    state.changed(log)
    return message


def _replied(log: ChatLog, params: Params) -> Message | None:
    """The message that this one answers, without the one that it answered itself."""
    given = params.structure("reply_parameters", "reply parameters")
    message_id: object = given.get("message_id") if isinstance(given, dict) else params.integer("reply_to_message_id")
    lenient = bool(given.get("allow_sending_without_reply")) if isinstance(given, dict) else params.flag("allow_sending_without_reply")
    if not message_id:
        return None
    found = log.messages.get(message_id) if isinstance(message_id, int) else None
    if found is None:
        if lenient:
            return None
        raise bad_request("message to be replied not found")
    return msgspec.structs.replace(found, reply_to_message=None)


def _edit(state: State, log: ChatLog, before: Message, after: Message, now_ms: int) -> Message:
    if after == before:
        raise bad_request(UNCHANGED)
    state.limiter.count_edit(now_ms)
    edited = msgspec.structs.replace(after, edit_date=now_ms // 1000)
    log.put(edited)
    state.changed(log)
    return edited


def _named(state: State, params: Params, verb: str) -> tuple[ChatLog, Message]:
    log = state.chats.writable(params.text("chat_id"))
    if not params.integer("message_id"):
        raise bad_request("message identifier is not specified")
    message = log.messages.get(params.integer("message_id"))
    if message is None:
        raise bad_request(f"message to {verb} not found")
    return log, message


def _own(state: State, params: Params, verb: str) -> tuple[ChatLog, Message]:
    log, message = _named(state, params, verb)
    sender = message.from_.id if message.from_ else None
    if sender != state.bot.id and log.chat.type != "channel":
        raise bad_request("message can't be edited")
    return log, message
