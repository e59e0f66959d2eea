"""The second interface as a person meets it: the real program, steered from its chat, through the Bot API and in a browser."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from arbiter.v1 import market_pb2, trading_pb2
from tests.browser import Browser, needs_browser
from tests.e2e.conftest import ROOT, Official, Person, Program
from tests.e2e.test_main_job import buy_into_an_opening

MICRO = 1_000_000


@pytest.fixture
def linked(start: Callable[..., Program]) -> tuple[Program, Person]:
    """A program, and a person who has opened the greeting's link."""
    program = start()
    you = Person(program.chat)
    you.ask(f"/start {program.link_code}", "Sandbox user")
    return program, you


@contextmanager
def service(program: Program, folder: Path, *arguments: str, server: str = "") -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    """`arbiter bot` beside the program, with a data folder of its own; killed at the end."""
    errors = folder / "bot_stderr.txt"
    own = ["--data", str(folder / "botvar"), "--credential", str(program.data / "bot_credential"), "--telegram-api-url", program.chat]
    token = (program.data / "sandbox_bot_token").read_text().strip()
    whole = [sys.executable, "-m", "arbiter", *arguments, "--server", server or program.address, *own]
    with errors.open("ab") as file:
        process = subprocess.Popen(whole, cwd=folder, stderr=file, env=environ(TELEGRAM_BOT_TOKEN=token))
    try:
        yield process, errors
    finally:
        process.kill()
        process.wait(timeout=15)


def command(program: Program, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A command of the real program on the same data folder."""
    whole = [sys.executable, "-m", "arbiter", *arguments, "--data", str(program.data)]
    return subprocess.run(whole, cwd=folder, env=environ(), capture_output=True, text=True, timeout=30, check=True)


def environ(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ARBITER_", "GRPC_", "TELEGRAM_"))}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


def refusal(client: Official) -> Any:
    """Why an order is refused now."""
    request = trading_pb2.OrderRequest(
        idempotency_key="after the stop",
        outcome=market_pb2.OutcomeRef(venue="kalshi", market_id="any", outcome_id="yes"),
        side=market_pb2.SIDE_BUY,
        price_micros=500_000,
        size_micros=MICRO,
        time_in_force=market_pb2.TIME_IN_FORCE_IOC,
    )
    with pytest.raises(grpc.RpcError) as refused:
        client.unary("TradingService/PlaceOrder", request, trading_pb2.OrderResponse)
    return dict(refused.value.trailing_metadata()).get("arbiter-reason")


def test_one_id_leads_from_a_chat_message_through_the_log_lines_of_all_that_worked_for_it(start: Callable[..., Program]) -> None:
    program = start("--log-level", "DEBUG")
    you = Person(program.chat)
    you.ask(f"/start {program.link_code}", "Sandbox user")
    you.ask("/stop CONFIRM", "stopped")
    program.stop()
    lines = re.findall(r"^.*correlation_id=tg-\d+.*$", re.sub(r"\x1b\[[0-9;]*m", "", program.errors.read_text()), re.MULTILINE)
    ids = [line.rpartition("correlation_id=")[2].split()[0] for line in lines]
    assert len(set(ids)) == 2
    of_the_stop = [line for line, id_ in zip(lines, ids, strict=True) if id_ == ids[-1]]
    for part in ("component=telegram", "component=grpc", "TradingService/EmergencyStop", "actor=core/journal"):
        assert any(part in line for line in of_the_stop), part


def test_a_person_links_looks_steers_stops_and_resumes(linked: tuple[Program, Person], connect: Callable[[str], Official]) -> None:
    program, you = linked
    client = connect(program.address)
    client.use(program.token)
    assert "position" in you.ask("/status", "P&L").lower()
    assert "no open positions" in you.ask("/positions", "position").lower()
    order = buy_into_an_opening(client)
    (held,) = client.unary("TradingService/GetPositions", trading_pb2.PositionsRequest(), trading_pb2.PositionsResponse).positions
    assert held.outcome == order.outcome
    assert held.title in you.ask("/positions", held.title)
    assert "kalshi" in you.ask("/wallet", "$").lower()
    assert "off" in you.ask("/arb", "rbitrage").lower()
    you.ask("/arb start", "on")
    assert "on" in you.ask("/arb status", "rbitrage").lower()
    you.ask("/arb stop", "off")
    assert "ALL" in you.ask("/stop", "CONFIRM")
    assert refusal(client) != "TRADING_HALTED", "asking is not stopping"
    you.ask("/stop CONFIRM", "stopped")
    assert refusal(client) == "TRADING_HALTED"
    you.ask("/resume CONFIRM", "rading")
    assert refusal(client) != "TRADING_HALTED"
    assert "Traceback" not in program.errors.read_text()


def test_buttons_of_the_dashboard_do_what_they_say(linked: tuple[Program, Person]) -> None:
    _, you = linked
    you.ask("/home", "rbitrage")
    you.press("Start")
    you.wait_for("Arbitrage: on")
    you.press("Stop")
    you.wait_for("Arbitrage: off")
    you.press("Wallet")
    you.wait_for("$")


def test_who_is_not_linked_can_do_nothing_and_is_told_what_to_do(linked: tuple[Program, Person]) -> None:
    program, _ = linked
    for number, command in enumerate(("/status", "/positions", "/wallet", "/arb start", "/stop CONFIRM", "/resume CONFIRM", "/settings")):
        # a stranger each: what Telegram does not take at once is not kept for strangers
        assert "/start" in Person(program.chat, f"Stranger{number}").ask(command, "/start")
    stranger = Person(program.chat, "Stranger")
    assert "not valid" in stranger.ask(f"/start {program.link_code}", "code"), "the code was used"
    assert "/start" in stranger.ask("/help", "/start")


def test_a_stop_outlives_a_kill_of_the_program(
    start: Callable[..., Program], linked: tuple[Program, Person], connect: Callable[[str], Official]
) -> None:
    program, you = linked
    you.ask("/stop CONFIRM", "stopped")
    program.kill()
    again = start()
    client = connect(again.address)
    client.use(again.token)
    assert refusal(client) == "TRADING_HALTED"
    you = Person(again.chat)
    you.ask("/status", "stopped")
    you.ask("/resume CONFIRM", "rading")
    assert refusal(client) != "TRADING_HALTED"


def test_the_program_ends_in_time_with_a_chat_open(linked: tuple[Program, Person]) -> None:
    program, _ = linked
    status, seconds = program.stop(signal.SIGINT)
    assert (status, seconds < 3) == (0, True)
    assert not any(word in program.errors.read_text() for word in ("warning", "error", "Traceback"))


@needs_browser
async def test_the_same_through_the_page_in_a_browser(start: Callable[..., Program], tmp_path: Path) -> None:
    program = start()
    async with Browser.launch(tmp_path) as browser:
        await browser.goto(f"{program.chat}/?start={program.link_code}")
        await browser.wait_for("!document.querySelector('#start').hidden")
        await browser.click("#start")
        await browser.wait_for_text("Sandbox user")
        for command, answer in (("/status", "P&L"), ("/positions", "no open positions"), ("/arb", "Least edge")):
            await browser.type("#text", command)
            await browser.wait_for_text(answer)
        await browser.type("#text", "/home")
        await browser.wait_for("[...document.querySelectorAll('button')].some(each => each.innerText.includes('Copy Trades'))")
        await browser.click("button", "Start Arb")
        await browser.wait_for("[...document.querySelectorAll('button')].some(each => each.innerText.includes('Stop Arb'))")
        toast = "!document.querySelector('#toast').hidden && document.querySelector('#toast').innerText.includes('Arbitrage is on')"
        await browser.wait_for(toast)
        for button, page in (
            ("Positions", "no open positions"),
            ("« Home", "tier pro"),
            ("Wallet", "polymarket: $"),
            ("« Home", "tier pro"),
        ):
            await browser.click("button", button)
            await browser.wait_for(f"[...document.querySelectorAll('.message')].at(-1).innerText.includes({json.dumps(page)})")
        await browser.type("#text", "/stop CONFIRM")
        await browser.wait_for_text("All trading is stopped.")
        await browser.type("#text", "/resume CONFIRM")
        await browser.wait_for_text("Trading goes on.")
        picture = await browser.screenshot(tmp_path / "chat.png")
        assert picture.stat().st_size > 10_000
        assert browser.errors == []


def test_the_bot_as_a_service_of_its_own_on_the_sandbox_and_with_a_code_of_the_command(
    start: Callable[..., Program], tmp_path: Path, connect: Callable[[str], Official]
) -> None:
    program = start("--no-bot")
    assert "--no-bot" in program.greeting
    with service(program, tmp_path, "bot") as (bot, errors):
        you = Person(program.chat)
        made = command(program, tmp_path, "link-code").stdout
        you.ask(re.search(r"/start \w+", made)[0], "Sandbox user")
        assert "tier pro" in you.ask("/status", "tier")
        you.ask("/stop CONFIRM", "stopped")
        client = connect(program.address)
        client.use(program.token)
        assert refusal(client) == "TRADING_HALTED"
        bot.send_signal(signal.SIGTERM)
        assert bot.wait(timeout=15) == 0
        told = errors.read_text()
        assert "takes the bot's credential" in told
        assert "another bot polls" not in told + program.errors.read_text()
        assert not any(word in told for word in ("warning", "error", "Traceback"))


def test_a_bot_that_finds_no_core_says_so_and_goes_on(start: Callable[..., Program], tmp_path: Path) -> None:
    program = start("--no-bot")
    with service(program, tmp_path, "bot", server="127.0.0.1:1") as (bot, errors):
        you = Person(program.chat)
        assert "cannot be reached" in you.ask("/status", "reached")
        assert "the core does not answer yet" in errors.read_text()
        assert bot.poll() is None
