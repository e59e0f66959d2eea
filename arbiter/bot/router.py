"""From an update to its answer: who may, which command, what goes wrong. Denies by default; nothing escapes but cancellation."""

from collections.abc import Callable

import structlog

from arbiter.bot.backend import Backend
from arbiter.bot.buttons import Buttons
from arbiter.bot.commands.base import Call
from arbiter.bot.commands.table import ACTIONS, BY_NAME
from arbiter.bot.explain import explain
from arbiter.bot.faults import redacted, where
from arbiter.bot.incoming import Asked, Chatted, InGroup, Pressed, Typed, read
from arbiter.bot.poller import Received
from arbiter.bot.sender import Sender
from arbiter.bot.text import shown
from arbiter.bot.throttle import Throttle
from arbiter.bot.views import Answer, say, seconds
from arbiter.rpc.client_errors import ArbiterClientError
from arbiter.runtime import Environment

NOT_YOURS = "This button is not yours."
COMMANDS_ONLY = "I understand commands only: /help lists them, /start links this chat."
NOT_ALLOWED = "You may not use this bot."
IN_GROUP = "I work in private chats only: nobody else should read your positions. Open my profile and write to me there."


class Router:
    """`bot_name` is asked late: it is not known before Telegram answered."""

    def __init__(
        self,
        backend: Backend,
        sender: Sender,
        buttons: Buttons,
        allowed: frozenset[int],
        environment: Environment,
        bot_name: Callable[[], str],
    ) -> None:
        self._backend = backend
        self._sender = sender
        self._buttons = buttons
        self._allowed = allowed
        self._environment = environment
        self._bot_name = bot_name
        self._throttle = Throttle(environment)
        self._log = structlog.get_logger(component="telegram")

    async def handle(self, received: Received) -> None:
        """Answer one update."""
        asked = read(received.update, self._bot_name())
        if asked is not None and not _is_stop(asked) and not await self._has_turn(asked):
            return
        match asked:
            case Typed():
                await self._typed(asked, received.not_before_ms)
            case Pressed():
                await self._pressed(asked, received.not_before_ms)
            case Chatted(user):
                text = COMMANDS_ONLY if self._may_use(user) else NOT_ALLOWED
                await self._sender.send(user, user, say(text))
            case InGroup(chat, user, name):
                if name in BY_NAME:
                    await self._sender.send(chat, user, say(IN_GROUP))
            case None:
                pass

    # -- commands --

    async def _typed(self, typed: Typed, not_before_ms: int) -> None:
        call = Call(self._backend, typed.user, typed.user_name, typed.arguments, self._age(typed.sent_ms, not_before_ms), typed.forwarded)
        answer = await self._answer_typed(typed.name, call)
        await self._sender.send(typed.user, typed.user, answer)
        if typed.name == "start" and typed.arguments.strip():
            await self._sender.delete(typed.user, typed.message)  # a code should not stay to be read

    async def _answer_typed(self, name: str, call: Call) -> Answer:
        try:
            return await self._carry_out(name, call)
        except Exception as error:  # noqa: BLE001 whatever goes wrong, its user gets an answer and the bot goes on
            return say(self._failed(name, call, error))

    async def _carry_out(self, name: str, call: Call) -> Answer:
        command = BY_NAME.get(name)
        if not self._may_use(call.user):
            return say(NOT_ALLOWED)
        if command is None or not (command.open or (command.urgent and call.confirmed)):
            await self._backend.require_linked(call.user)
        if command is None:
            return Answer(f"There is no command “/{shown(name)}”. /help lists those that there are.")
        return await command.handle(call)

    def _failed(self, name: str, call: Call, error: Exception) -> str:
        """Log it, and say it to a person."""
        if isinstance(error, ArbiterClientError):
            self._log.info("a command failed", command=name, user=call.user, reason=error.reason)
            return explain(error)
        reference = f"{self._environment.random.getrandbits(32):08x}"
        self._log.error(
            "a command crashed",
            command=name,
            user=call.user,
            reference=reference,
            problem=redacted(error, *call.words),
            where=where(error),
        )
        return f"Something went wrong in the bot; it is logged as {reference}. Please try again."

    # -- buttons --

    async def _pressed(self, pressed: Pressed, not_before_ms: int) -> None:
        action = self._buttons.open(pressed.data, pressed.user) if pressed.own else None
        name, _, arguments = (action or "").partition(":")
        handle = ACTIONS.get(name)
        if handle is None:
            self._log.warning("a button that is not its presser's", user=pressed.user)
            await self._sender.acknowledge(pressed.callback, NOT_YOURS, alert=True)
            return
        if not self._may_use(pressed.user):
            await self._sender.acknowledge(pressed.callback, NOT_ALLOWED, alert=True)
            return
        call = Call(self._backend, pressed.user, pressed.user_name, arguments, self._age(pressed.sent_ms, not_before_ms))
        try:
            await self._backend.require_linked(call.user)
            answer = await handle(call)
        except Exception as error:  # noqa: BLE001 whatever goes wrong, the button is answered and the bot goes on
            await self._sender.acknowledge(pressed.callback, self._failed(name, call, error), alert=True)
            return
        await self._sender.acknowledge(pressed.callback, answer.toast)
        if pressed.message is None:
            await self._sender.send(pressed.user, pressed.user, answer)
        else:
            await self._sender.edit(pressed.user, pressed.user, pressed.message, answer)

    # -- both --

    async def _has_turn(self, asked: Asked) -> bool:
        """False for who asks too much. They are told once, then ignored until it is better; buttons are always answered."""
        wait_ms = self._throttle.wait_ms(asked.user)
        if wait_ms is None:
            return True
        text = f"Too much at once: try again shortly, in {seconds(wait_ms)}."
        if isinstance(asked, Pressed):
            await self._sender.acknowledge(asked.callback, text, alert=True)
        elif self._throttle.first_refusal(asked.user) and not isinstance(asked, InGroup):
            await self._sender.send(asked.user, asked.user, say(text))
        return False

    def _may_use(self, user: int) -> bool:
        return not self._allowed or user in self._allowed

    def _age(self, sent_ms: int, not_before_ms: int) -> int:
        """At most so old: both are times that it is not older than."""
        return max(0, self._environment.unix_ms() - max(sent_ms, not_before_ms))


def _is_stop(asked: Asked) -> bool:
    return isinstance(asked, Typed) and asked.name == "stop"
