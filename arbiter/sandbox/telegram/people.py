"""What people do: write, edit, press, block. The chat page's hands, and the tests'. Each act makes the update that a bot gets."""

import hashlib
from collections.abc import Callable

import msgspec

from arbiter.sandbox.telegram.chats import ChatLog, private_chat
from arbiter.sandbox.telegram.formatting import LARGEST_TEXT
from arbiter.sandbox.telegram.markup import finish, units
from arbiter.sandbox.telegram.params import Upload
from arbiter.sandbox.telegram.refusal import bad_request
from arbiter.sandbox.telegram.state import Press, State
from arbiter.sandbox.telegram.types import CallbackQuery, Chat, Document, Message, PhotoSize, User

Draft = Callable[[Chat], Message]
YOU = "You"
LARGEST_PERSON = 64


def person(name: str) -> User:
    """The person of that name; the same identifier each time."""
    number = 1_000_000_000 + int.from_bytes(hashlib.sha256(name.encode("utf-8", "replace")).digest()[:5], "big") % 8_000_000_000
    return User(number, False, name, None, "en")


class People:
    """Everybody but the bot. `by` names a person; a chat is theirs with the bot unless another is given."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._pressed = 0

    def chat_of(self, by: str, now_ms: int) -> ChatLog:
        """The private chat of that person."""
        if not 0 < len(by) <= LARGEST_PERSON:
            raise bad_request("a person needs a name of at most 64 characters")
        return self._state.chats.open(private_chat(person(by)), now_ms)

    def gather(self, title: str, now_ms: int, *, type_: str = "group", username: str | None = None) -> ChatLog:
        """A group or channel that the bot is in."""
        digest = hashlib.sha256(f"{type_} {title}".encode()).digest()
        number = -1_000_000_000_000 - int.from_bytes(digest[:4], "big") if type_ != "group" else -1 - int.from_bytes(digest[:4], "big")
        log = self._state.chats.open(Chat(number, type_, title, None, username), now_ms)
        log.started = True
        return log

    def say(self, text: str, now_ms: int, *, by: str = YOU, chat: ChatLog | None = None) -> Message:
        """Write. Raises Refusal for a text that is empty or too long."""
        body, entities = finish(text, [])
        if not body or units(body) > LARGEST_TEXT:
            raise bad_request("message is too long" if body else "message text is empty")
        return self._write(by, chat, now_ms, lambda to: Message(0, 0, to, text=body, entities=entities or None))

    def send_file(self, upload: Upload, now_ms: int, *, by: str = YOU, chat: ChatLog | None = None) -> Message:
        """Send a file; a picture as a picture."""
        kept = self._state.files.keep(upload)
        if kept.picture:
            size = PhotoSize(kept.file_id, kept.unique_id, kept.width, kept.height, len(kept.data))
            return self._write(by, chat, now_ms, lambda to: Message(0, 0, to, photo=(size,)))
        document = Document(kept.file_id, kept.unique_id, len(kept.data), kept.name, kept.content_type)
        return self._write(by, chat, now_ms, lambda to: Message(0, 0, to, document=document))

    def _write(self, by: str, chat: ChatLog | None, now_ms: int, draft: Draft) -> Message:
        log = chat or self.chat_of(by, now_ms)
        posted = log.chat.type == "channel"
        message = msgspec.structs.replace(
            draft(log.chat),
            message_id=self._state.chats.next_message_id(now_ms),
            date=now_ms // 1000,
            from_=None if posted else person(by),
            sender_chat=log.chat if posted else None,
        )
        log.started, log.blocked = True, False
        log.put(message)
        self._state.changed(log)
        self._state.updates.add("channel_post" if posted else "message", message, now_ms)
        return message

    def edit(self, message_id: int, text: str, now_ms: int, *, by: str = YOU, chat: ChatLog | None = None) -> Message:
        """Change what one wrote. Raises Refusal."""
        log = chat or self.chat_of(by, now_ms)
        message = log.messages.get(message_id)
        if message is None or message.text is None or message.from_ is None or message.from_.id != person(by).id:
            raise bad_request("message can't be edited")
        body, entities = finish(text, [])
        if not body or units(body) > LARGEST_TEXT:
            raise bad_request("message text is empty or too long")
        edited = msgspec.structs.replace(message, text=body, entities=entities or None, edit_date=now_ms // 1000)
        log.put(edited)
        self._state.changed(log)
        self._state.updates.add("edited_message", edited, now_ms)
        return edited

    def press(self, message_id: int, data: str, now_ms: int, *, by: str = YOU, chat: ChatLog | None = None) -> str:
        """Press the button with that data; the identifier of the query. Raises Refusal when the message has no such button."""
        log = chat or self.chat_of(by, now_ms)
        message = log.messages.get(message_id)
        rows = message.reply_markup.inline_keyboard if message is not None and message.reply_markup is not None else ()
        if not any(button.callback_data == data for row in rows for button in row):
            raise bad_request("there is no such button")
        return self.forge_press(message, data, now_ms, by=by, log=log)

    def forge_press(self, message: Message | None, data: str, now_ms: int, *, by: str, log: ChatLog) -> str:
        """A press without any check: what a forged or stale callback looks like to the bot."""
        self._pressed += 1
        seed = f"{self._state.bot.id} {now_ms} {self._pressed}".encode()
        query = str(int.from_bytes(hashlib.sha256(seed).digest()[:8], "big"))
        self._state.pressed(query, Press(log.chat.id, person(by).id, now_ms))
        self._state.updates.add("callback_query", CallbackQuery(query, person(by), str(abs(log.chat.id)), message, data), now_ms)
        return query

    def block(self, now_ms: int, *, by: str = YOU, chat: ChatLog | None = None) -> None:
        """Block the bot, or throw it out of a group. Writing to it lifts that."""
        (chat or self.chat_of(by, now_ms)).blocked = True
