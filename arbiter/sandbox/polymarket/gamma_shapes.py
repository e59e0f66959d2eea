"""Gamma's objects (sheet, A4.2): markets of both generations, events with neg-risk groups, tags."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from arbiter.domain.market import Market, PolymarketFees
from arbiter.domain.money import MICRO
from arbiter.sandbox.books import MarketBooks
from arbiter.sandbox.polymarket import wire
from arbiter.sandbox.polymarket.filters import Listed, liquidity_of, resolution_of, started_ms, tag_id, uma_of, volume_of
from arbiter.sandbox.world import Stage

RESOLVER = "0x" + "65070be91477460d8a7aeeb94ef92fe056c2f2a7"
"""Who Gamma says resolved a market: an address of the form of the oracle adapter's."""


def market_object(market: Listed, now_ms: int, *, nested: bool = False, on_clob: bool = True) -> dict[str, Any]:
    """Some arrays are JSON inside a string; prices, sizes and rates are JSON numbers. `on_clob`: its tokens are known there."""
    listing, details = market.books.market, market.books.details
    prices = wire.final_prices(market.books) or _indicative(market.books)
    closed_ms = market.books.since_ms.get(Stage.CLOSED)
    body: dict[str, Any] = {
        "id": str(market.id),
        "version": details.generation,
        "question": listing.title,
        "slug": wire.slug_of(market.books),
        "groupItemTitle": details.group,
        "conditionId": listing.key.market,
        "questionID": wire.question_id(market.books),
        "description": listing.rules,
        "category": listing.category,
        "outcomes": in_text([listing.yes.label, listing.no.label]),
        "outcomePrices": in_text([wire.text(price) for price in prices]),
        **_outcome_ids(listing, details.generation, on_clob),
        "active": market.books.stage is not Stage.UPCOMING,
        "closed": market.closed,
        "archived": False,
        "acceptingOrders": market.books.stage is Stage.ACTIVE,
        "enableOrderBook": True,
        "negRisk": details.exclusive,
        "orderPriceMinTickSize": wire.number(wire.tick_of(listing)),
        "orderMinSize": wire.number(listing.min_size),
        "startDate": _iso(started_ms(market, now_ms)),
        "endDate": iso_text(listing.closes_at) if listing.closes_at else None,
        "closedTime": datetime.fromtimestamp(closed_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S+00") if closed_ms else None,
        "gameStartTime": None,
        "secondsDelay": 0,
        "resolutionSource": details.source,
        "umaResolutionStatus": uma_of(market),
        "resolutionStatus": resolution_of(market),
        "resolvedBy": RESOLVER if market.books.stage is Stage.SETTLED else None,
        "rewardsMinSize": 0,
        "rewardsMaxSpread": 0,
        "clobRewards": [],
    }
    if details.exclusive:
        body["negRiskRequestID"] = wire.request_id(market.books)
    body |= _prices(market) | fee_fields(listing)
    if not nested:
        body["events"] = [{"id": str(market.event_id), "slug": listing.event, "title": listing.title, "negRisk": details.exclusive}]
        body["tags"] = [tag_object(tag) for tag in wire.tags_of(market.books)]
    return body


def _outcome_ids(listing: Market, generation: str, on_clob: bool) -> dict[str, Any]:
    """`clobTokenIds` is text, `positionIds` a real array; the other of the two is null. Before the CLOB has them both are empty."""
    ids = [listing.yes.id, listing.no.id] if on_clob else []
    return {"clobTokenIds": None, "positionIds": ids} if generation == "v2" else {"clobTokenIds": in_text(list(ids)), "positionIds": None}


def _prices(market: Listed) -> dict[str, Any]:
    books = market.books
    bid, ask = books.touch
    volume, liquidity = volume_of(market), liquidity_of(market)
    return {
        "bestBid": wire.number(bid.price) if bid else None,
        "bestAsk": wire.number(ask.price) if ask else None,
        "spread": wire.number(ask.price - bid.price) if bid and ask else None,
        "lastTradePrice": wire.number(books.last_price),
        "volume": wire.text(volume),
        "volumeNum": wire.number(volume),
        "liquidity": wire.text(liquidity),
        "liquidityNum": wire.number(liquidity),
    }


def fee_fields(listing: Market) -> dict[str, Any]:
    """No schedule where the fees are not known: a client must not read that as free."""
    fees = listing.fees
    if not isinstance(fees, PolymarketFees):
        return {"feesEnabled": True, "feeType": None, "feeSchedule": None}
    rate, rebate = wire.number(fees.rate), wire.number(MICRO // 4)
    schedule = {"exponent": fees.exponent, "rate": rate, "takerOnly": True, "rebateRate": rebate}
    return {"feesEnabled": fees.rate > 0, "feeType": listing.category or None, "feeSchedule": schedule}


def _indicative(books: MarketBooks) -> tuple[int, int]:
    """The prices Gamma shows: the middle, or whatever there is of it."""
    known = [level.price for level in books.touch if level]
    yes = sum(known) // len(known) if known else books.last_price
    return yes, books.market.payout - yes


def event_object(event_id: int, markets: list[Listed], nested: list[dict[str, Any]]) -> dict[str, Any]:
    """`nested`: the event's markets as objects."""
    books = markets[0].books
    first = books.market
    title = first.event.replace("-", " ").capitalize() if books.details.group else first.title
    body: dict[str, Any] = {
        "id": str(event_id),
        "slug": first.event,
        "ticker": first.event,
        "title": title,
        "category": first.category,
        "active": True,
        "closed": all(market.closed for market in markets),
        "archived": False,
        "negRisk": books.details.exclusive,
        "enableNegRisk": books.details.exclusive,
        "resolutionSource": books.details.source,
        "endDate": iso_text(first.closes_at) if first.closes_at else None,
        "tags": [tag_object(tag) for tag in wire.tags_of(books)],
        "markets": nested,
    }
    if books.details.exclusive:
        body["negRiskMarketID"] = wire.made_hash("neg-risk market", first.event)
    return body


def tag_object(tag: str) -> dict[str, str]:
    return {"id": tag_id(tag), "label": tag.capitalize(), "slug": tag}


def in_text(values: list[str]) -> str:
    return msgspec.json.encode(values).decode()


def iso_text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _iso(ms: int) -> str:
    return iso_text(datetime.fromtimestamp(ms // 1000, UTC))
