"""The second interface as a person meets it: the real program, steered from its chat, through the Bot API and in a browser."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from arbiter.v1 import market_pb2, trading_pb2
from tests.browser import Browser, needs_browser
from tests.e2e.conftest import Official, Person, Program
from tests.e2e.test_main_job import buy_into_an_opening

MICRO = 1_000_000


@pytest.fixture
def linked(start: Callable[..., Program]) -> tuple[Program, Person]:
    """A program, and a person who has opened the greeting's link."""
    program = start()
    you = Person(program.chat)
    you.ask(f"/start {program.link_code}", "Sandbox user")
    return program, you


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
    stranger = Person(program.chat, "Stranger")
    for command in ("/status", "/positions", "/wallet", "/arb start", "/stop CONFIRM", "/resume CONFIRM", "/settings"):
        assert "/start" in stranger.ask(command, "/start")
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
        for command, answer in (("/status", "P&L"), ("/positions", "osition"), ("/arb", "rbitrage")):
            await browser.type("#text", command)
            await browser.wait_for_text(answer)
        await browser.type("#text", "/home")
        await browser.wait_for("[...document.querySelectorAll('button')].some(each => each.innerText.includes('Start Arb'))")
        await browser.click("button", "Start Arb")
        await browser.wait_for("[...document.querySelectorAll('button')].some(each => each.innerText.includes('Stop Arb'))")
        await browser.type("#text", "/stop CONFIRM")
        await browser.wait_for_text("stopped")
        picture = await browser.screenshot(tmp_path / "chat.png")
        assert picture.stat().st_size > 10_000
        assert browser.errors == []
