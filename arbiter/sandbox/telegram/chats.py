"""Chats and their newest messages, and what changed in them since somebody last looked. Everything is bounded."""

from collections import OrderedDict, deque

import msgspec

from arbiter.sandbox.telegram.refusal import Refusal, bad_request
from arbiter.sandbox.telegram.types import Chat, Message, User

MOST_CHATS = 1000
MOST_MESSAGES = 500
MOST_NOTICES = 50
TYPING_MS = 5000


class Notice(msgspec.Struct, frozen=True):
    """What the bot answered to the press of a button."""

    query: str
    text: str
    alert: bool
    url: str


class ChatLog:
    """One chat. `revision` grows with every change, over restarts too, since it starts at the time (Unix ms)."""

    def __init__(self, chat: Chat, now_ms: int) -> None:
        self.chat = chat
        self.started = False
        """Whether the bot may write: somebody wrote to it, or it was let in."""
        self.blocked = False
        self.messages: OrderedDict[int, Message] = OrderedDict()
        self.first_revision = self.revision = now_ms
        self.typing_until = 0
        self._changed: dict[int, int] = {}
        self._gone: deque[tuple[int, int]] = deque(maxlen=MOST_MESSAGES)
        self._notices: deque[tuple[int, Notice]] = deque(maxlen=MOST_NOTICES)

    def touch(self) -> None:
        """Something changed."""
        self.revision += 1

    def put(self, message: Message) -> None:
        """A new message, or one that was edited."""
        self.touch()
        self.messages[message.message_id] = message
        self._changed[message.message_id] = self.revision
        while len(self.messages) > MOST_MESSAGES:
            oldest, _ = self.messages.popitem(last=False)
            del self._changed[oldest]

    def remove(self, message_id: int) -> None:
        """A message is deleted."""
        self.touch()
        del self.messages[message_id]
        del self._changed[message_id]
        self._gone.append((self.revision, message_id))

    def notify(self, notice: Notice) -> None:
        """The bot answered a press."""
        self.touch()
        self._notices.append((self.revision, notice))

    def changed_since(self, revision: int) -> list[Message]:
        """Messages that are new or edited since then, in their order."""
        return [message for message in self.messages.values() if self._changed[message.message_id] > revision]

    def gone_since(self, revision: int) -> list[int]:
        """Messages deleted since then."""
        return [message_id for when, message_id in self._gone if when > revision]

    def notices_since(self, revision: int) -> list[Notice]:
        """Answers to presses since then."""
        return [notice for when, notice in self._notices if when > revision]


class Chats:
    """All chats by identifier, and the counter of messages."""

    def __init__(self) -> None:
        self._logs: OrderedDict[int, ChatLog] = OrderedDict()
        self._last_message = 0

    def get(self, chat_id: int) -> ChatLog | None:
        """The chat of that identifier."""
        return self._logs.get(chat_id)

    def open(self, chat: Chat, now_ms: int) -> ChatLog:
        """The log of a chat, new if there was none. When there are too many, the one not looked at for longest is forgotten."""
        log = self._logs.pop(chat.id, None) or ChatLog(chat, now_ms)
        self._logs[chat.id] = log
        if len(self._logs) > MOST_CHATS:
            self._logs.popitem(last=False)
        return log

    def all(self) -> list[ChatLog]:
        """Every chat."""
        return list(self._logs.values())

    def named(self, name: str) -> ChatLog:
        """The chat that a bot means by `chat_id`. Raises Refusal."""
        if not name:
            raise bad_request("chat_id is empty")
        if name.startswith("@"):
            found = next((log for log in self._logs.values() if log.chat.username == name[1:] and log.chat.type != "private"), None)
        else:
            number = name.removeprefix("-")
            found = self._logs.get(int(name)) if number.isascii() and number.isdigit() and len(number) <= 16 else None
        if found is None or not found.started:
            raise bad_request("chat not found")
        return found

    def writable(self, name: str) -> ChatLog:
        """The same, where the bot may write. Raises Refusal."""
        log = self.named(name)
        if log.blocked:
            who = "bot was blocked by the user" if log.chat.type == "private" else f"bot was kicked from the {log.chat.type} chat"
            raise Refusal(403, f"Forbidden: {who}")
        return log

    def next_message_id(self, now_ms: int) -> int:
        """Grows; starts at the time, so that a message from before a restart is not taken for a new one."""
        self._last_message = self._last_message + 1 if self._last_message else first_number(now_ms)
        return self._last_message


def first_number(now_ms: int) -> int:
    """Where a counter starts that must not begin again after a restart: seconds since November 2023, at ten a second."""
    return max(1, (now_ms - 1_700_000_000_000) // 100)


def private_chat(user: User) -> Chat:
    """The chat of one person with the bot."""
    return Chat(user.id, "private", None, user.first_name, user.username)
