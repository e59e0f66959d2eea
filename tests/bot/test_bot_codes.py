"""Commands that need a code of the authenticator: asked for, used once, deleted, and never after something else was said."""

import base64
from typing import Any

import pytest

from arbiter.bot import codes
from arbiter.bot.codes import WANTED, WRONG, Codes, Waiting
from arbiter.bot.commands.base import Call
from arbiter.bot.router import COMMANDS_ONLY
from arbiter.domain import totp
from arbiter.rpc.client_errors import NotPermittedError
from arbiter.runtime import Environment


class Authenticator:
    """The app of the account of tier pro. There are three codes that count at any moment, each of them once."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._secret = b""
        self._step = 0

    async def enrol(self, program: Any) -> None:
        async with program.client() as client:
            self._secret = base64.b32decode((await client.enrol_totp()).secret)
            self._step = totp.step_at(self._environment.unix_ms()) - 1
            await client.confirm_totp(totp.code_at(self._secret, self._step))

    def code(self) -> str:
        """The next one that was not used."""
        self._step += 1
        return totp.code_at(self._secret, self._step)


@pytest.fixture
async def app(program: Any, linked: Any) -> Authenticator:
    app = Authenticator(Environment.real())
    await app.enrol(program)
    return app


async def arbitrage(program: Any) -> bool:
    async with program.client() as client:
        return bool((await client.list_strategies())["arbitrage"])


async def test_a_command_that_needs_a_code_asks_for_it_and_the_message_with_it_is_deleted(program: Any, linked: Any, app: Any) -> None:
    assert await linked.say("/arb start") == WANTED
    assert not await arbitrage(program)
    assert "Arbitrage is on" in await linked.say(app.code())
    assert await arbitrage(program)
    assert len(linked.api.of("deleteMessage")) == 1


async def test_a_wrong_code_is_asked_for_again(program: Any, linked: Any, app: Any) -> None:
    await linked.say("/arb start")
    assert await linked.say("000000") == WRONG
    assert len(linked.api.of("deleteMessage")) == 1
    await linked.say(app.code())
    assert await arbitrage(program)


async def test_a_button_asks_for_a_code_too(program: Any, linked: Any, app: Any, keyboard: Any) -> None:
    await linked.say("/home")
    start = keyboard(linked.api.of("sendMessage")[-1])["Start Arb"]
    assert (await linked.press(start))["text"] == WANTED
    assert "Arbitrage: on" in await linked.say(app.code())


async def test_a_resume_waits_for_a_code_and_a_stop_meanwhile_comes_first(program: Any, linked: Any, app: Any) -> None:
    await linked.say("/stop CONFIRM")
    assert await linked.say("/resume CONFIRM") == WANTED
    await linked.say("/stop CONFIRM")
    code = app.code()
    assert await linked.say(code) == COMMANDS_ONLY
    assert "stopped" in await linked.say("/status")
    await linked.say("/resume CONFIRM")
    assert "Trading goes on" in await linked.say(code)


@pytest.mark.parametrize("between", ["/status", "/nonsense"])
async def test_after_another_command_digits_are_no_code_any_more(program: Any, linked: Any, app: Any, between: str) -> None:
    await linked.say("/arb start")
    await linked.say(between)
    assert await linked.say(app.code()) == COMMANDS_ONLY
    assert not await arbitrage(program)


@pytest.mark.parametrize("text", ["hello", "12345", "1234567", "ABCDE-12345"])
async def test_what_is_no_code_is_left_alone_and_the_command_goes_on_waiting(program: Any, linked: Any, app: Any, text: str) -> None:
    await linked.say("/arb start")
    assert await linked.say(text) == COMMANDS_ONLY
    assert linked.api.of("deleteMessage") == []
    await linked.say(app.code())
    assert await arbitrage(program)


async def test_another_user_cannot_answer_for_who_was_asked(program: Any, linked: Any, app: Any) -> None:
    await linked.say("/arb start")
    assert await linked.say(app.code(), user=43) == COMMANDS_ONLY
    assert not await arbitrage(program)


async def test_a_code_is_never_logged(linked: Any, app: Any, logged: list[Any]) -> None:
    await linked.say("/arb start")
    await linked.say("135790")
    code = app.code()
    await linked.say(code)
    assert not any(each in str(logged) for each in ("135790", code))


# -- by themselves --


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    @property
    def environment(self) -> Environment:
        return Environment(lambda: 0, lambda: self.seconds, Environment.simulated(1).random)


NEEDED = NotPermittedError("needed", "TOTP_NEEDED")


def waiting(user: int = 1, arrival: int = 7) -> Waiting:
    return Waiting("arb", lambda _call: None, Call(None, None, user, "Ann", arrival=arrival))  # type: ignore[arg-type,return-value]


def test_a_code_is_taken_once_for_a_minute_and_keeps_when_the_command_came() -> None:
    clock = Clock()
    asked = Codes(clock.environment)
    assert asked.asked(NEEDED, waiting()) == WANTED
    taken = asked.take(1, "123456", 500)
    assert taken is not None
    assert (taken.call.code, taken.call.age_ms, taken.call.arrival) == ("123456", 500, 7)
    assert "123456" not in repr(taken)
    assert asked.take(1, "123456", 500) is None
    asked.asked(NEEDED, waiting())
    clock.seconds += codes.WAIT_SECONDS
    assert asked.take(1, "123456", 0) is None
    assert len(asked) == 0


def test_other_refusals_ask_for_nothing() -> None:
    asked = Codes(Clock().environment)
    assert asked.asked(NotPermittedError("no", "TOTP_NOT_ENROLLED"), waiting()) is None
    assert asked.take(1, "123456", 0) is None


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codes, "MOST_WAITING", 10)
    asked = Codes(Clock().environment)
    for user in range(100):
        asked.asked(NEEDED, waiting(user))
    assert len(asked) == 10
