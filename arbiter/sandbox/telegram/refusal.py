"""How the Bot API says no: one exception, Telegram's own words."""

from arbiter.sandbox.http import Response, json_response


class Refusal(Exception):
    """A call that fails. `description` is what Telegram would write; `retry_after` in whole seconds."""

    def __init__(self, code: int, description: str, retry_after: int | None = None) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.retry_after = retry_after

    def response(self) -> Response:
        """As it goes over the wire."""
        told: dict[str, object] = {"ok": False, "error_code": self.code, "description": self.description}
        if self.retry_after is not None:
            told["parameters"] = {"retry_after": self.retry_after}
            return json_response(told, self.code, (("retry-after", str(self.retry_after)),))
        return json_response(told, self.code)


def bad_request(why: str) -> Refusal:
    """400 with Telegram's prefix."""
    return Refusal(400, f"Bad Request: {why}")


def conflict(why: str) -> Refusal:
    """409 with Telegram's prefix."""
    return Refusal(409, f"Conflict: {why}")


def too_many_requests(seconds: int) -> Refusal:
    """429: come back after so many seconds."""
    return Refusal(429, f"Too Many Requests: retry after {seconds}", seconds)
