"""Kalshi's pages and errors: `limit` and an opaque `cursor`, whose empty text is the end."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from arbiter.sandbox.http import Request, Response, json_response

Item = dict[str, Any]
_T = TypeVar("_T")


def page(name: str, items: Sequence[_T], render: Callable[[_T], Item], request: Request, largest: int) -> Response:
    """One page of a listing."""
    limit, start = request.number("limit", 100), request.number("cursor", 0)
    if limit is None or not 1 <= limit <= largest or start is None:
        return error("bad_request", "invalid limit or cursor", 400)
    end = start + limit
    return json_response({name: [render(item) for item in items[start:end]], "cursor": str(end) if end < len(items) else ""})


def error(code: str, message: str, status: int) -> Response:
    """An error body in the usual of the venue's three shapes (sheet, B6.3)."""
    return json_response({"error": {"code": code, "message": message, "details": ""}}, status)


def flat_error(code: str, message: str, status: int) -> Response:
    """The shape with the three keys at the top, as for a body that does not parse."""
    return json_response({"code": code, "message": message, "details": ""}, status)


def not_found(what: str = "no such path") -> Response:
    return error("not_found", what, 404)
