"""The Data API (sheet, A9.1): what wallets did and hold. v2 below `/v2`, v1 beside it; both late, as the real one is (A9.2).

Fields and parameters that the sheet names are here; shapes of `/v2/holders`, `/oi`, `/resolutions`, `/user-volume`,
`/user-pnl` and `/tokens` are this sandbox's own guess, since the sheet only lists their paths.
"""

import base64
import binascii
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from arbiter.domain.ids import OutcomeId
from arbiter.domain.money import MICRO
from arbiter.sandbox.books import MarketBooks
from arbiter.sandbox.http import Request, Response, json_response, whole_number
from arbiter.sandbox.polymarket import data_rows as rows
from arbiter.sandbox.polymarket.history import history_of
from arbiter.sandbox.polymarket.ledger import Entry, Ledger, Position

RECENT_S = 86_400
"""Without `start` only so much of the past is told."""
LARGEST_V2, LARGEST_V1, FURTHEST_V1 = 1000, 500, 1000
DEFAULT = 100
MOST_CONDITIONS = 20
PERIODS = {"day": 86_400, "week": 7 * 86_400, "month": 30 * 86_400, "all": 10**9}


class Lags(msgspec.Struct, frozen=True):
    """How late the venue tells. `unknown_every`: of the global list of trades each so-many-th has outcome index 999 (0: none)."""

    activity_ms: int = 8_000
    trades_ms: int = 260_000
    unknown_every: int = 3


class InvalidQuery(Exception):
    """The query has something that is refused. The text is for the client."""


class DataReads:
    """Answers from the ledger. `listed` is shared with the engine; `event_id` is Gamma's id of a market's event."""

    def __init__(
        self,
        ledger: Ledger,
        lags: Lags,
        books_of: Callable[[OutcomeId], MarketBooks | None],
        listed: list[MarketBooks],
        event_id: Callable[[MarketBooks], str],
    ) -> None:
        self._event_id = event_id
        self._ledger = ledger
        self._lags = lags
        self._books_of = books_of
        self._listed = listed

    def knows(self, path: str) -> bool:
        """Whether a path without a host is this interface's."""
        return path.startswith("/v2/") or path in _V1

    def answer(self, request: Request, now_ms: int) -> Response:
        """Any path; 404 for what it does not know."""
        if request.method not in ("GET", "HEAD"):
            return _error("method not allowed", 405)
        try:
            if request.path.startswith("/v2/"):
                return self._v2(request.path.removeprefix("/v2/"), request, now_ms)
            return self._v1(request.path.strip("/"), request, now_ms)
        except InvalidQuery as invalid:
            return _error(str(invalid), 400)

    def _v2(self, what: str, request: Request, now_ms: int) -> Response:
        match what:
            case "trades":
                found = self._entries(request, now_ms, only_trades=True, takers=request.first("taker_only") == "true")
                return _page_v2([self._row(entry, request, rows.trade_v2) for entry in found], request)
            case "activity":
                if not request.first("user"):
                    raise InvalidQuery("user is required")
                found = self._entries(request, now_ms, only_trades=False, takers=False)
                return _page_v2([rows.activity_v2(entry) for entry in found], request)
            case "positions":
                return _page_v2([rows.position_v2(p) for p in self._positions(request)], request)
            case "value":
                return _page_v2([{"proxy_wallet": _user(request), "value": rows.number(self._value(_user(request)))}], request)
            case "leaderboard":
                return _page_v2(self._leaderboard(request, now_ms), request)
            case "holders":
                held = sorted((p for p in self._positions(request) if p.size), key=lambda p: -p.size)
                return _page_v2([rows.holder_v2(p) for p in held], request)
            case "oi":
                return _page_v2([{"condition_id": c, "value": rows.number(self._open_interest(c))} for c in _conditions(request)], request)
            case "resolutions":
                wanted = _conditions(request)
                return _page_v2([rows.resolution_v2(b) for b in self._listed if not wanted or b.market.key.market in wanted], request)
            case "prices-history":
                return self._history(request, now_ms)
            case "user-volume":
                volume = sum(e.usdc for e in self._ledger.entries if e.wallet.address == _user(request) and e.kind == "TRADE")
                return _page_v2([{"proxy_wallet": _user(request), "volume": rows.number(volume)}], request)
            case "user-pnl":
                total = sum(p.profit for p in self._ledger.positions.values() if p.wallet.address == _user(request))
                return _page_v2([{"proxy_wallet": _user(request), "timestamp": now_ms // 1000, "pnl": rows.number(total)}], request)
            case "tokens":
                known = [(token, self._books_of(OutcomeId(token))) for token in request.every("token_id")]
                return _page_v2([rows.token_v2(token, books) for token, books in known if books], request)
            case _:
                return _error("not found", 404)

    def _v1(self, what: str, request: Request, now_ms: int) -> Response:
        """Bare arrays, camelCase, numbers as numbers. `takerOnly` is true unless told otherwise, and hides makers' fills."""
        match what:
            case "trades":
                found = self._entries(request, now_ms, only_trades=True, takers=request.first("takerOnly") != "false")
                return _page_v1([self._row(entry, request, rows.trade_v1) for entry in found], request)
            case "activity":
                _user(request)
                found = self._entries(request, now_ms, only_trades=False, takers=False)
                return _page_v1([rows.activity_v1(entry) for entry in found], request)
            case "positions" | "closed-positions":
                wanted = [p for p in self._positions(request) if bool(p.size) is (what == "positions")]
                return _page_v1([rows.position_v1(p) for p in wanted], request)
            case "value":
                return json_response([{"user": _user(request), "value": rows.number(self._value(_user(request)))}])
            case "holders":
                held = sorted((p for p in self._positions(request) if p.size), key=lambda p: -p.size)
                tokens = dict.fromkeys(rows.token_of(p) for p in held)
                grouped = [{"token": t, "holders": [rows.holder_v1(p) for p in held if rows.token_of(p) == t]} for t in tokens]
                return _page_v1(grouped, request)
            case _:
                return _error("not found", 404)

    # -- choosing --

    def _entries(self, request: Request, now_ms: int, *, only_trades: bool, takers: bool) -> Iterator[Entry]:
        """Newest first. What happened too lately is not told yet; the global list is much later than a user's own."""
        user, conditions, side = request.first("user").lower(), _conditions(request), request.first("side").upper()
        kinds, least, in_cash = set(request.every("type")), _amount(request), request.first("filter_type").upper() != "TOKENS"
        now_s, event = now_ms // 1000, request.first("event_id")
        start = _seconds(request, "start", now_s - RECENT_S)
        end = _seconds(request, "end", now_s)
        visible_ms = now_ms - (self._lags.trades_ms if only_trades and not user else self._lags.activity_ms)
        for entry in self._ledger.newest_first():
            if (
                entry.at_ms <= visible_ms
                and start <= entry.at_ms // 1000 <= end
                and (not only_trades or entry.kind == "TRADE")
                and (not takers or entry.is_taker)
                and user in ("", entry.wallet.address)
                and (not conditions or entry.books.market.key.market in conditions)
                and (not event or event == self._event_id(entry.books))
                and (not side or (entry.side is not None and side == rows.side_text(entry.side)))
                and (not kinds or entry.kind in kinds)
                and (entry.usdc if in_cash else entry.size) >= least
            ):
                yield entry

    def _row(self, entry: Entry, request: Request, row: Callable[[Entry, bool], dict[str, Any]]) -> dict[str, Any]:
        every = 0 if request.first("user") else self._lags.unknown_every
        return row(entry, bool(every) and entry.number % every == 0)

    def _positions(self, request: Request) -> list[Position]:
        user, conditions, status = request.first("user").lower(), _conditions(request), request.first("status").upper()
        if not user and not conditions:
            raise InvalidQuery("user or condition_id is required")
        return [
            p
            for p in self._ledger.positions.values()
            if user in ("", p.wallet.address)
            and (not conditions or p.books.market.key.market in conditions)
            and (not status or rows.status_of(p) == status)
        ]

    def _value(self, user: str) -> int:
        return sum(p.value for p in self._ledger.positions.values() if p.wallet.address == user)

    def _open_interest(self, condition: str) -> int:
        return sum(p.size for p in self._ledger.positions.values() if p.books.market.key.market == condition) // 2

    def _leaderboard(self, request: Request, now_ms: int) -> list[dict[str, Any]]:
        """Volume of the period; profit is all there is, whatever the period."""
        period, sort = request.first("time_period") or "all", (request.first("sort_by") or "PNL").upper()
        if period not in PERIODS or sort not in ("PNL", "VOLUME"):
            raise InvalidQuery("time_period or sort_by is not valid")
        volumes: dict[str, int] = {}
        profits: dict[str, int] = {}
        for entry in self._ledger.entries:
            if entry.kind == "TRADE" and entry.at_ms // 1000 >= now_ms // 1000 - PERIODS[period]:
                volumes[entry.wallet.address] = volumes.get(entry.wallet.address, 0) + entry.usdc
        wallets = {p.wallet.address: p.wallet for p in self._ledger.positions.values()}
        for position in self._ledger.positions.values():
            profits[position.wallet.address] = profits.get(position.wallet.address, 0) + position.profit
        by = profits if sort == "PNL" else volumes
        ranked = sorted(wallets.values(), key=lambda wallet: (-by.get(wallet.address, 0), wallet.address))
        return [
            rows.leader_v2(n, wallet, profits.get(wallet.address, 0), volumes.get(wallet.address, 0)) for n, wallet in enumerate(ranked, 1)
        ]

    def _history(self, request: Request, now_ms: int) -> Response:
        asset = OutcomeId(request.first("token_id") or request.first("market"))
        books = self._books_of(asset)
        points = None if books is None else history_of(books, asset, request, now_ms)
        if points is None:
            raise InvalidQuery("invalid token or time")
        return _page_v2(list(points), request)


# -- pages --


def _page_v2(found: list[dict[str, Any]], request: Request) -> Response:
    """`cursor` is opaque; `next_cursor` is null at the end."""
    limit, start = request.number("limit", DEFAULT), _read_cursor(request.first("cursor"))
    offset = request.number("offset", 0)
    if limit is None or not 1 <= limit <= LARGEST_V2 or start is None or offset is None:
        raise InvalidQuery(f"limit must be between 1 and {LARGEST_V2}, and cursor one that was given")
    start += offset
    more = start + limit < len(found)
    cursor = base64.urlsafe_b64encode(f"from:{start + limit}".encode()).decode() if more else None
    pagination = {"limit": limit, "offset": start, "has_more": more, "next_cursor": cursor}
    return json_response({"data": found[start : start + limit], "pagination": pagination})


def _read_cursor(cursor: str) -> int | None:
    if not cursor:
        return 0
    try:
        name, _, start = base64.urlsafe_b64decode(cursor.encode()).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return whole_number(start) if name == "from" else None


def _page_v1(found: list[dict[str, Any]], request: Request) -> Response:
    limit, offset = request.number("limit", DEFAULT), request.number("offset", 0)
    if limit is None or not 0 <= limit <= LARGEST_V1 or offset is None or offset > FURTHEST_V1:
        raise InvalidQuery(f"limit up to {LARGEST_V1}, offset up to {FURTHEST_V1}")
    return json_response(found[offset : offset + limit])


# -- parameters --


def _user(request: Request) -> str:
    if not (user := request.first("user").lower()):
        raise InvalidQuery("user is required")
    return user


def _conditions(request: Request) -> set[str]:
    """v1 calls it `market`."""
    wanted = {*request.every("condition_id"), *(request.every("market") if not request.path.startswith("/v2/") else ())}
    if len(wanted) > MOST_CONDITIONS:
        raise InvalidQuery(f"at most {MOST_CONDITIONS} conditions")
    return wanted


def _seconds(request: Request, name: str, default: int) -> int:
    value = request.number(name, default)
    if value is None:
        raise InvalidQuery(f"{name} must be Unix seconds")
    return value


def _amount(request: Request) -> int:
    whole = whole_number((request.first("filter_amount") or "0").partition(".")[0])
    if whole is None:
        raise InvalidQuery("filter_amount must be a number")
    return whole * MICRO


_V1 = ("/trades", "/activity", "/positions", "/closed-positions", "/value", "/holders")


def _error(message: str, status: int) -> Response:
    return json_response({"error": message}, status)
