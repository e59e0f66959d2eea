"""From an update to its answer: who may, which command, what goes wrong. Denies by default; nothing escapes but cancellation."""

from collections.abc import Callable
from functools import partial

import structlog

from arbiter.bot.backend import Backend
from arbiter.bot.buttons import Buttons
from arbiter.bot.chats import Lane, Received
from arbiter.bot.codes import Codes, Waiting
from arbiter.bot.commands.base import Call
from arbiter.bot.commands.table import ACTIONS, BY_NAME
from arbiter.bot.explain import explain
from arbiter.bot.faults import redacted, where
from arbiter.bot.incoming import Asked, Chatted, InGroup, Pressed, Typed, read
from arbiter.bot.reception import Reception, is_confirmed_stop
from arbiter.bot.sender import Sender
from arbiter.bot.stops import Stops
from arbiter.bot.text import shown
from arbiter.bot.views import Answer, say
from arbiter.rpc.client_errors import ArbiterClientError
from arbiter.runtime import Environment

NOT_YOURS = "This button is not yours."
COMMANDS_ONLY = "I understand commands only: /help lists them, /start links this chat."
NOT_ALLOWED = "You may not use this bot."
IN_GROUP = "I work in private chats only: nobody else should read your positions. Write to me there: https://t.me/"
TOO_MUCH = "Too much at once: try again shortly, in 5 seconds."


class Router:
    """`bot_name` is asked late: it is not known before Telegram answered."""

    def __init__(
        self,
        backend: Backend,
        sender: Sender,
        stops: Stops,
        buttons: Buttons,
        allowed: frozenset[int],
        environment: Environment,
        bot_name: Callable[[], str],
    ) -> None:
        self._backend = backend
        self._sender = sender
        self._stops = stops
        self._buttons = buttons
        self._environment = environment
        self._bot_name = bot_name
        self._reception = Reception(backend, stops, allowed, environment)
        self._codes = Codes(environment)
        self._log = structlog.get_logger(component="telegram")

    def admit(self, received: Received) -> Lane:
        """What becomes of an update that came in."""
        return self._reception.lane(self._read(received), received.arrival)

    def recall(self, received: Received) -> None:
        """A stop that was done before this start counts as the last word all the same."""
        asked = self._read(received)
        if asked is not None and is_confirmed_stop(asked):
            self._stops.arrived(asked.user, received.arrival)

    async def refuse(self, received: Received) -> None:
        """Say that it was too much: to who presses each time, to who writes once in a while."""
        asked = self._read(received)
        if isinstance(asked, Pressed):
            await self._sender.acknowledge(asked.callback, TOO_MUCH, alert=True, once=True)
        elif isinstance(asked, Typed | Chatted) and self._reception.throttle.may_tell(asked.user):
            await self._sender.send_once(asked.user, asked.user, say(TOO_MUCH))

    async def handle(self, received: Received) -> None:
        """Answer one update."""
        asked = self._read(received)
        self._log.debug("an update", kind=type(asked).__name__, user=getattr(asked, "user", None))
        match asked:
            case Typed():
                await self._typed(asked, self._call(asked, asked.arguments, received, forwarded=asked.forwarded))
            case Pressed():
                await self._pressed(asked, received)
            case Chatted():
                await self._chatted(asked, received)
            case InGroup(chat, user):
                await self._sender.send_once(chat, user, say(IN_GROUP + self._bot_name()))
            case None:
                pass

    def _read(self, received: Received) -> Asked | None:
        return read(received.update, self._bot_name())

    # -- commands --

    async def _chatted(self, chatted: Chatted, received: Received) -> None:
        """A code, where a command waits for one."""
        waiting = self._codes.take(chatted.user, chatted.text, self._age(chatted.sent_ms, received.not_before_ms))
        if waiting is None:
            await self._reply(chatted.user, say(COMMANDS_ONLY if self._reception.may_use(chatted.user) else NOT_ALLOWED))
            return
        await self._sender.delete(chatted.user, chatted.message)  # it should not stay to be read
        await self._reply(chatted.user, await self._done(waiting))

    async def _done(self, waiting: Waiting) -> Answer:
        """What came of a command that its code has come for."""
        try:
            if not self._reception.may_use(waiting.call.user):
                return say(NOT_ALLOWED)
            await self._backend.require_linked(waiting.call.user)
            return await waiting.run(waiting.call)
        except Exception as error:  # noqa: BLE001 whatever goes wrong, its user gets an answer and the bot goes on
            return say(self._failed(waiting, error))

    async def _typed(self, typed: Typed, call: Call) -> None:
        self._codes.forget(call.user)
        answer = await self._answer_typed(typed.name, call)
        await self._reply(typed.user, answer, stop=is_confirmed_stop(typed))
        if typed.name == "start" and typed.arguments.strip():
            await self._sender.delete(typed.user, typed.message)  # a code should not stay to be read

    async def _reply(self, user: int, answer: Answer, *, stop: bool = False) -> None:
        """To strangers now or never: nobody waits for them. What came of a stop goes before other answers, and to whom it may concern."""
        if self._backend.is_linked(user) or (stop and self._reception.may_use(user) and not self._backend.is_stranger(user)):
            await self._sender.send(user, user, answer, first=stop)
        else:
            await self._sender.send_once(user, user, answer)

    async def _answer_typed(self, name: str, call: Call) -> Answer:
        try:
            return await self._carry_out(name, call)
        except Exception as error:  # noqa: BLE001 as above
            return say(self._failed(Waiting(name, partial(self._carry_out, name), call), error))

    async def _carry_out(self, name: str, call: Call) -> Answer:
        command = BY_NAME.get(name)
        if not self._reception.may_use(call.user):
            return say(NOT_ALLOWED)
        if command is None or not (command.open or (command.urgent and call.confirmed)):
            await self._backend.require_linked(call.user)
        if command is None:
            return Answer(f"There is no command {shown(f'/{name}')}. /help lists those that there are.")
        return await command.handle(call)

    def _failed(self, given: Waiting, error: Exception) -> str:
        """Log it, and say it to a person, who may have to send a code."""
        name, _, call = given
        if isinstance(error, ArbiterClientError):
            self._log.info("a command failed", command=name, user=call.user, reason=error.reason)
            return self._codes.asked(error, given) or explain(error)
        reference = f"{self._environment.random.getrandbits(32):08x}"
        self._log.error(
            "a command crashed",
            command=name,
            user=call.user,
            reference=reference,
            problem=redacted(error, *call.words, call.code),
            where=where(error),
        )
        return f"Something went wrong in the bot; it is logged as {reference}. Please try again."

    # -- buttons --

    async def _pressed(self, pressed: Pressed, received: Received) -> None:
        action = self._buttons.open(pressed.data, pressed.user) if pressed.own else None
        name, _, arguments = (action or "").partition(":")
        handle = ACTIONS.get(name)
        if handle is None:
            self._log.warning("a button that is not its presser's", user=pressed.user)
            await self._sender.acknowledge(pressed.callback, NOT_YOURS, alert=True, once=True)
            return
        if not self._reception.may_use(pressed.user):
            await self._sender.acknowledge(pressed.callback, NOT_ALLOWED, alert=True, once=True)
            return
        call = self._call(pressed, arguments, received)
        self._codes.forget(call.user)
        try:
            await self._backend.require_linked(call.user)
            answer = await handle(call)
        except Exception as error:  # noqa: BLE001 whatever goes wrong, the button is answered and the bot goes on
            once = not self._backend.is_linked(call.user)
            await self._sender.acknowledge(pressed.callback, self._failed(Waiting(name, handle, call), error), alert=True, once=once)
            return
        await self._sender.acknowledge(pressed.callback, answer.toast)
        if pressed.message is None:
            await self._sender.send(pressed.user, pressed.user, answer)
        else:
            await self._sender.edit(pressed.user, pressed.user, pressed.message, answer)

    # -- both --

    def _call(self, asked: Typed | Pressed, arguments: str, received: Received, *, forwarded: bool = False) -> Call:
        age = self._age(asked.sent_ms, received.not_before_ms)
        return Call(self._backend, self._stops, asked.user, asked.user_name, arguments, age, received.arrival, forwarded)

    def _age(self, sent_ms: int, not_before_ms: int) -> int:
        """At most so old: both are times that it is not older than."""
        return max(0, self._environment.unix_ms() - max(sent_ms, not_before_ms))
