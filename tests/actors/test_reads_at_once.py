"""Pure reads: answered at once, in the asker's task, or in their turn, the reply is the same."""

import pytest
from trio.testing import wait_all_tasks_blocked

from arbiter.actors.accounts import FindApiKey, FindTelegram, GetAccount, ListAccounts
from arbiter.actors.arb_scanner import GetPairs, GetScanStatistics
from arbiter.actors.brake import CountHalted, GetStanding, GetTradingStatus, Halt
from arbiter.actors.market_feed import GetMarket, SearchMarkets
from arbiter.actors.market_search import MarketFilter
from arbiter.actors.position_tracker import GetHoldings, GetPositions
from arbiter.actors.user_session import GetOrders
from arbiter.domain.account import Account, ApiKey, TelegramLink, Tier
from arbiter.domain.book import Side
from arbiter.domain.ids import POLYMARKET, MarketId, MarketKey, UserId
from arbiter.domain.money import parse_micros
from arbiter.errors import ArbiterError, NotFound

ANN, NOBODY = UserId("ann"), UserId("nobody")
NO_MARKET = MarketKey(POLYMARKET, MarketId("none"))


async def outcome(ref, request):
    """The reply, or what it was refused with."""
    try:
        return await ref.ask(request, timeout=5)
    except ArbiterError as error:
        return type(error), str(error)


async def both_ways(ref, request):
    """The reply at once, and that of the same request in its turn."""
    mailbox, given = ref._mailbox, []
    await wait_all_tasks_blocked()
    answer = mailbox.answer

    def watched(asked):
        given.append(asked)
        reply = answer(asked)
        assert reply is not NotImplemented
        return reply

    mailbox.answer = watched
    at_once = await outcome(ref, request)
    mailbox.answer = None
    in_its_turn = await outcome(ref, request)
    mailbox.answer = answer
    assert given == [request]
    return at_once, in_its_turn


READS = [
    ("brake", GetTradingStatus(ANN)),
    ("brake", GetTradingStatus(NOBODY)),
    ("tracker", GetPositions(ANN)),
    ("tracker", GetPositions(NOBODY)),
    ("tracker", GetHoldings(ANN)),
    ("tracker", GetHoldings(NOBODY)),
    ("accounts", FindApiKey("key")),
    ("accounts", FindApiKey("none")),
    ("accounts", GetAccount(ANN)),
    ("accounts", GetAccount(NOBODY)),
    ("accounts", FindTelegram(7)),
    ("accounts", FindTelegram(8)),
    ("feed", GetMarket(MarketKey(POLYMARKET, MarketId("P")))),
    ("feed", GetMarket(NO_MARKET)),
    ("session", GetOrders()),
    ("scanner", GetScanStatistics()),
    ("scanner", GetPairs(5)),
    ("brake", GetStanding(ANN)),
    ("brake", CountHalted()),
    ("accounts", ListAccounts(5)),
]
NOTHING_FOUND = (FindApiKey("none"), GetAccount(NOBODY), FindTelegram(8), GetMarket(NO_MARKET))


@pytest.mark.parametrize(("whom", "request_"), READS, ids=lambda value: value if isinstance(value, str) else type(value).__name__)
async def test_a_read_that_is_answered_at_once_says_the_same_as_in_its_turn(autojump_clock, scene, whom, request_):
    scene.add_accounts = [Account(ANN, "Ann", Tier.PRO, api_key=ApiKey("key", b"1"), telegram=TelegramLink(7, "Ann", 1))]
    async with scene.running():
        await scene.quote(scene.yes, "0.42x50", "0.44x10")
        await scene.place(Side.BUY, "0.44", "10", key="held")
        await scene.place(Side.BUY, "0.43", "10", key="resting")
        await scene.brake.ref.ask(Halt(ANN, "enough"), timeout=5)
        refs = {
            "brake": scene.brake.ref,
            "tracker": scene.tracker.ref,
            "accounts": scene.accounts.ref,
            "feed": scene.feeds[POLYMARKET].ref,
            "session": scene.session(),
            "scanner": scene.scanner.ref,
        }
        at_once, in_its_turn = await both_ways(refs[whom], request_)
        assert at_once == in_its_turn
        if request_ in NOTHING_FOUND:
            assert at_once[0] is NotFound
        elif getattr(request_, "user", ANN) == ANN:
            assert at_once


async def test_positions_that_are_asked_for_are_valued_now_and_the_change_is_told(autojump_clock, scene):
    async with scene.running():
        await scene.quote(scene.yes, "0.42x50", "0.44x10")
        await scene.place(Side.BUY, "0.44", "10")
        with scene.position_changes.subscribe("backpressure") as (_, changes):
            await scene.quote(scene.yes, "0.30x50", "0.32x10")
            (asked,) = await scene.tracker.ref.ask(GetPositions(ANN), timeout=5)
            assert await changes.receive() == asked
        assert asked.mark.exit_value == parse_micros("3")


async def test_a_search_is_left_to_the_mailbox(autojump_clock, scene):
    async with scene.running():
        feed = scene.feeds[POLYMARKET].ref
        assert feed._mailbox.answer(SearchMarkets(MarketFilter("win"))) is NotImplemented
        assert await feed.ask(SearchMarkets(MarketFilter("win")), timeout=5) == (scene.market,)
