"""What an update asks for, and whether it is the bot's business at all. Pure: an update in, one of a few cases out.

The bot acts in private chats alone, for who sent the update. Edits, channels, other bots and messages without text are ignored.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime

from telegram import CallbackQuery, Message, Update
from telegram.constants import ChatType

_COMMAND = re.compile(r"/([A-Za-z0-9_]{1,32})(?:@([A-Za-z0-9_]{1,64}))?(?:\s+(.*))?", re.DOTALL)


@dataclass(frozen=True)
class Typed:
    """A command in a private chat. `sent_ms`: UTC."""

    user: int
    user_name: str
    message: int
    name: str
    arguments: str
    forwarded: bool
    sent_ms: int


@dataclass(frozen=True)
class Chatted:
    """Text that is no command, in a private chat. `sent_ms`: UTC."""

    user: int
    message: int
    text: str = field(repr=False)
    sent_ms: int


@dataclass(frozen=True)
class InGroup:
    """A command to this bot in a group."""

    chat: int
    user: int
    name: str


@dataclass(frozen=True)
class Pressed:
    """A button. `own`: under a message in the presser's own chat with the bot, which was (last) sent at `sent_ms`."""

    user: int
    user_name: str
    callback: str
    data: str
    message: int | None
    own: bool
    sent_ms: int


Asked = Typed | Chatted | InGroup | Pressed


def read(update: Update, bot_name: str) -> Asked | None:
    """What is asked; None for what is ignored."""
    if update.callback_query is not None:
        return _pressed(update.callback_query)
    if update.message is not None:
        return _message(update.message, bot_name)
    return None


def _message(message: Message, bot_name: str) -> Typed | Chatted | InGroup | None:
    sender = message.from_user
    if sender is None or sender.is_bot or message.sender_chat is not None or message.via_bot is not None or not message.text:
        return None
    private = message.chat.type == ChatType.PRIVATE
    command = _COMMAND.fullmatch(message.text)
    if command is None:
        if not private or message.chat.id != sender.id:
            return None
        return Chatted(sender.id, message.message_id, message.text, _ms(message.date))
    name, addressed, arguments = command.group(1).lower(), command.group(2), command.group(3) or ""
    if addressed is not None and addressed.lower() != bot_name.lower():
        return None
    if not private:
        return InGroup(message.chat.id, sender.id, name) if message.chat.type in (ChatType.GROUP, ChatType.SUPERGROUP) else None
    if message.chat.id != sender.id:
        return None
    forwarded = message.forward_origin is not None or bool(message.is_automatic_forward)
    return Typed(sender.id, sender.full_name, message.message_id, name, arguments, forwarded, _ms(message.date))


def _pressed(query: CallbackQuery) -> Pressed | None:
    presser, message = query.from_user, query.message
    if presser.is_bot:
        return None
    own = message is not None and message.chat.type == ChatType.PRIVATE and message.chat.id == presser.id
    number, sent_ms = None, 0
    if isinstance(message, Message) and message.date.timestamp() > 0:  # 0: one that Telegram cannot show any more
        number, sent_ms = message.message_id, _ms(message.edit_date or message.date)
    return Pressed(presser.id, presser.full_name, query.id, query.data or "", number, own, sent_ms)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp()) * 1000
