"""Telegram's objects as far as the sandbox has them. Field names are Telegram's own; what is not set is not sent."""

import msgspec


class User(msgspec.Struct, frozen=True, omit_defaults=True):
    """A person or a bot."""

    id: int
    is_bot: bool
    first_name: str
    username: str | None = None
    language_code: str | None = None


class Chat(msgspec.Struct, frozen=True, omit_defaults=True):
    """`type`: private, group, supergroup or channel."""

    id: int
    type: str
    title: str | None = None
    first_name: str | None = None
    username: str | None = None


class Entity(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stretch of formatted text. Offset and length count UTF-16 code units."""

    type: str
    offset: int
    length: int
    url: str | None = None
    language: str | None = None
    user: User | None = None
    custom_emoji_id: str | None = None


class Button(msgspec.Struct, frozen=True, omit_defaults=True):
    """One inline button: it calls back, or opens an address."""

    text: str
    callback_data: str | None = None
    url: str | None = None


class InlineKeyboard(msgspec.Struct, frozen=True):
    """Rows of buttons below a message."""

    inline_keyboard: tuple[tuple[Button, ...], ...]


class PhotoSize(msgspec.Struct, frozen=True):
    """A picture in one size."""

    file_id: str
    file_unique_id: str
    width: int
    height: int
    file_size: int


class Document(msgspec.Struct, frozen=True, omit_defaults=True):
    """Any file."""

    file_id: str
    file_unique_id: str
    file_size: int
    file_name: str | None = None
    mime_type: str | None = None


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message. An edit replaces it by another of the same id."""

    message_id: int
    date: int
    chat: Chat
    from_: User | None = msgspec.field(name="from", default=None)
    sender_chat: Chat | None = None
    edit_date: int | None = None
    reply_to_message: "Message | None" = None
    text: str | None = None
    entities: tuple[Entity, ...] | None = None
    photo: tuple[PhotoSize, ...] | None = None
    document: Document | None = None
    caption: str | None = None
    caption_entities: tuple[Entity, ...] | None = None
    reply_markup: InlineKeyboard | None = None


class CallbackQuery(msgspec.Struct, frozen=True, omit_defaults=True):
    """Somebody pressed an inline button."""

    id: str
    from_: User = msgspec.field(name="from")
    chat_instance: str
    message: Message | None = None
    data: str | None = None


class BotCommand(msgspec.Struct, frozen=True):
    """A line of the menu."""

    command: str
    description: str
