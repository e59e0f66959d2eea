"""Numbers as venues write them: decimal text, now and then a JSON number."""

from arbiter.domain.money import Micros, parse_micros

_CACHED = 4096
_prices: dict[str, Micros] = {}


class MalformedFrame(ValueError):
    """A frame that is not what the venue's API promises. The connection it came from is not to be trusted."""


def price_micros(text: str) -> Micros:
    """`parse_micros` with a memory: a market has few prices and they come again and again."""
    found = _prices.get(text)
    if found is None:
        found = parse_micros(text)
        if len(_prices) < _CACHED:
            _prices[text] = found
    return found
