"""The sandbox's Data API: late rows, pages, and wallets whose positions follow from their trades."""

import pytest

from arbiter.domain.book import PublicTrade, Side
from arbiter.domain.money import parse_micros
from arbiter.sandbox.polymarket.data_api import Lags
from arbiter.sandbox.polymarket.engine import PAST_ENTRIES, PolymarketEngine
from arbiter.sandbox.world import Stage, StageChanged

NOW = 1_767_225_600_123
YES, NO, CONDITION = "1001", "1002", f"0x{1:064x}"


@pytest.fixture
def get(sandbox, http):
    def get(target, at_ms=NOW):
        reply = http(sandbox.polymarket, at_ms).request(target)
        assert reply.status == 200, reply.body
        return reply.json

    return get


@pytest.fixture
def trade(sandbox, world):
    """Somebody trades YES of the first market."""

    def trade(at_ms=NOW, side=Side.BUY):
        world.write(PublicTrade(world.markets[0].yes_key, parse_micros("0.44"), parse_micros("10"), side))
        sandbox.tick(at_ms)
        return [entry for entry in sandbox.polymarket.ledger.entries if entry.at_ms == at_ms]

    return trade


@pytest.fixture
def leader(get):
    """The wallet that made most."""
    return get("/v2/leaderboard?limit=1")["data"][0]["user_id"]


def test_there_is_a_week_of_trades_to_begin_with_newest_first(get):
    seen, cursor = [], ""
    while True:
        page = get(f"/v2/trades?start=1&limit=150&cursor={cursor}")
        assert page["pagination"]["limit"] == 150
        seen += page["data"]
        cursor = page["pagination"]["next_cursor"]
        if cursor is None:
            break
    assert not page["pagination"]["has_more"]
    assert len(seen) == PAST_ENTRIES
    times = [row["timestamp"] for row in seen]
    assert times == sorted(times, reverse=True)
    assert NOW // 1000 - 7 * 86_400 <= times[-1] < times[0] <= NOW // 1000
    assert len({row["proxy_wallet"] for row in seen}) > 20


def test_without_a_start_only_the_last_day_is_told(get):
    recent = get("/v2/trades?limit=1000")["data"]
    assert 0 < len(recent) < PAST_ENTRIES
    assert min(row["timestamp"] for row in recent) >= NOW // 1000 - 86_400


def test_a_trade_has_the_fields_of_the_sheet(get):
    row = get("/v2/trades?start=1&limit=1")["data"][0]
    assert set(row) == {
        *("proxy_wallet", "token_id", "condition_id", "side", "size", "price", "timestamp", "transaction_hash", "title", "slug"),
        *("event_slug", "icon", "outcome", "outcome_index", "name", "pseudonym", "bio", "profile_image"),
    }


def test_a_trade_has_a_taker_and_a_maker_in_one_transaction(trade, get):
    taker, maker = trade()
    rows = {row["proxy_wallet"]: row for row in get(f"/v2/activity?user={taker.wallet.address}&start=1", NOW + 8_000)["data"][:1]}
    row = rows[taker.wallet.address]
    assert (row["type"], row["side"], row["price"], row["size"], row["usdc_size"]) == ("TRADE", "BUY", "0.44", 10, "4.4")
    assert (row["token_id"], row["outcome"], row["outcome_index"]) == (YES, "Yes", 0)
    assert maker.tx == taker.tx == row["transaction_hash"]
    assert (maker.side, maker.index) in {(Side.SELL, 0), (Side.BUY, 1)}


def test_a_users_activity_is_eight_seconds_late_and_the_list_of_all_trades_minutes(trade, get):
    (taker, _) = trade()
    mine = f"/v2/activity?user={taker.wallet.address}&start={NOW // 1000}"
    everybodys = f"/v2/trades?start={NOW // 1000}"
    assert get(mine, NOW + 7_999)["data"] == []
    assert len(get(mine, NOW + 8_000)["data"]) >= 1
    assert get(everybodys, NOW + 259_999)["data"] == []
    assert len(get(everybodys, NOW + 260_000)["data"]) == 2


def test_the_lags_are_a_setting(world, http):
    engine = PolymarketEngine(world.markets[:1], lags=Lags(0, 0, 0))
    engine.apply(PublicTrade(world.markets[0].yes_key, parse_micros("0.44"), parse_micros("1"), Side.BUY), NOW)
    rows = http(engine).request("/v2/trades").json["data"]
    assert len(rows) == 2
    assert 999 not in {row["outcome_index"] for row in rows}


def test_in_the_list_of_all_trades_every_third_does_not_know_its_outcome(get, leader):
    rows = get("/v2/trades?start=1&limit=1000")["data"]
    unknown = [row for row in rows if row["outcome_index"] == 999]
    assert len(unknown) == len(rows) // 3
    assert {row["outcome"] for row in unknown} == {""}
    assert 999 not in {row["outcome_index"] for row in get(f"/v2/trades?user={leader}&start=1")["data"]}


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        (f"condition_id={CONDITION}", lambda row: row["condition_id"] == CONDITION),
        (f"condition_id={CONDITION},0x2", lambda row: row["condition_id"] == CONDITION),
        ("event_id=100001", lambda row: row["event_slug"] == "pair"),
        ("side=SELL", lambda row: row["side"] == "SELL"),
        ("filter_type=TOKENS&filter_amount=400", lambda row: int(row["size"]) >= 400),
        ("filter_type=CASH&filter_amount=200", lambda row: float(row["price"]) * row["size"] >= 200),
        (f"end={NOW // 1000 - 86_400}", lambda row: row["timestamp"] <= NOW // 1000 - 86_400),
    ],
)
def test_filters_choose_trades(get, query, holds):
    everything, chosen = get("/v2/trades?start=1&limit=1000")["data"], get(f"/v2/trades?start=1&limit=1000&{query}")["data"]
    assert 0 < len(chosen) < len(everything)
    assert all(map(holds, chosen))


def test_takers_alone_are_half_of_a_trade(get):
    assert len(get("/v2/trades?start=1&limit=1000&taker_only=true")["data"]) == PAST_ENTRIES // 2
    # v1 hides the makers unless told otherwise
    assert len(get("/trades?start=1&limit=500")) == PAST_ENTRIES // 2
    assert len(get("/trades?start=1&limit=500&takerOnly=false")) == PAST_ENTRIES


def test_v1_rows_are_bare_and_in_camel_case(get, leader):
    row = get(f"/activity?user={leader}&start=1&limit=1")[0]
    assert {"proxyWallet", "conditionId", "asset", "usdcSize", "outcomeIndex", "transactionHash", "eventSlug"} <= set(row)
    assert not any("_" in name for name in row)
    second = get(f"/activity?user={leader}&start=1&limit=1&offset=1")[0]
    assert second["transactionHash"] != row["transactionHash"] or second["asset"] != row["asset"]


def test_positions_are_what_the_trades_add_up_to(get, sandbox, leader):
    held = {p["token_id"]: p for p in get(f"/v2/positions?user={leader}&status=OPEN&limit=1000")["data"]}
    assert held
    bought: dict[str, int] = {}
    for entry in sandbox.polymarket.ledger.entries:
        if entry.wallet.address == leader:
            before = bought.get(entry.token, 0)
            bought[entry.token] = before + entry.size if entry.side is Side.BUY else max(0, before - entry.size)
    assert {token: parse_micros(str(p["current_size"])) for token, p in held.items()} == {t: size for t, size in bought.items() if size}
    one = next(iter(held.values()))
    assert (one["status"], one["redeemable"], one["proxy_wallet"]) == ("OPEN", False, leader)
    assert {p["asset"] for p in get(f"/positions?user={leader}&limit=500")} == set(held)
    assert get(f"/v2/value?user={leader}")["data"][0]["proxy_wallet"] == leader


def test_a_decided_market_is_redeemed_by_one_row_for_each_outcome(get, sandbox, world):
    market = world.markets[0]
    holders = {p["proxy_wallet"] for p in get(f"/v2/positions?condition_id={CONDITION}&status=OPEN&limit=1000")["data"]}
    world.write(StageChanged(market.key, Stage.SETTLED, parse_micros("1")))
    sandbox.tick(NOW + 1_000)
    assert get(f"/v2/positions?condition_id={CONDITION}&status=OPEN")["data"] == []
    for holder in sorted(holders)[:5]:
        redeemed = get(f"/v2/activity?user={holder}&type=REDEEM&condition_id={CONDITION}", NOW + 10_000)["data"]
        assert 1 <= len(redeemed) <= 2
        assert {row["price"] for row in redeemed} <= {0, 1}
        assert len({row["token_id"] for row in redeemed}) == len(redeemed)


def test_the_leaderboard_ranks_by_profit_or_volume(get):
    board = get("/v2/leaderboard?limit=1000")["data"]
    assert [row["rank"] for row in board] == list(range(1, len(board) + 1))
    profits = [parse_micros(str(row["pnl"])) for row in board]
    assert profits == sorted(profits, reverse=True)
    volumes = [parse_micros(str(row["volume"])) for row in get("/v2/leaderboard?limit=1000&sort_by=VOLUME&time_period=week")["data"]]
    assert volumes == sorted(volumes, reverse=True)
    assert volumes[0] > 0


def test_a_wallets_profile_is_known_to_gamma(get, leader, sandbox, http):
    profile = get(f"/public-profile?address={leader}")
    assert profile["proxyWallet"] == leader
    assert profile["name"]
    assert http(sandbox.polymarket).request("/public-profile?address=0x0").status == 404


@pytest.mark.parametrize(
    "target",
    [
        f"/v2/holders?condition_id={CONDITION}",
        f"/v2/oi?condition_id={CONDITION}",
        "/v2/resolutions",
        f"/v2/tokens?token_id={YES}",
        f"/v2/prices-history?token_id={NO}&interval=1d",
    ],
)
def test_the_other_reads_of_v2_answer_in_the_same_envelope(get, target):
    body = get(target)
    assert body["data"]
    assert set(body["pagination"]) == {"limit", "offset", "has_more", "next_cursor"}


def test_holders_of_v1_are_grouped_by_token(get):
    assert {group["token"] for group in get(f"/holders?market={CONDITION}")} == {YES, NO}


@pytest.mark.parametrize(
    "target",
    [
        "/v2/trades?limit=0",
        "/v2/trades?limit=1001",
        "/v2/trades?cursor=x",
        "/v2/trades?start=soon",
        "/v2/trades?filter_amount=much",
        "/v2/trades?condition_id=" + ",".join(map(str, range(21))),
        "/v2/activity",
        "/v2/positions",
        "/v2/value",
        "/v2/leaderboard?time_period=decade",
        "/v2/prices-history?token_id=7",
        "/trades?limit=501",
        "/trades?offset=1001",
        "/activity",
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(sandbox, http, target):
    reply = http(sandbox.polymarket).request(target)
    assert reply.status == 400
    assert reply.json["error"]


def test_other_paths_and_methods_are_refused(sandbox, http):
    client = http(sandbox.polymarket)
    assert client.request("/v2/nothing").status == 404
    assert client.request("/v2/trades", "POST", b"{}").status == 405


def test_everybody_does_the_same_for_the_same_seed(make_sandbox):
    one, same = make_sandbox(), make_sandbox()
    assert [e.tx for e in one.polymarket.ledger.entries] == [e.tx for e in same.polymarket.ledger.entries]
