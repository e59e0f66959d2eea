"""`arbiter watch`: opportunities, positions and the venues of a running Arbiter, live in the terminal. A client like any other."""

from collections import OrderedDict
from contextlib import suppress

import trio
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from arbiter.domain.ids import OutcomeKey
from arbiter.domain.money import format_dollars, format_micros
from arbiter.feeds_shown import feed_lines
from arbiter.rpc.client import ArbiterClient, NotConnected, Opportunity, PositionInfo, RateLimitError, UnavailableError, UncertainError
from arbiter.rpc.client_market_types import FeedInfo
from arbiter.rpc.client_tls import ClientTls

REFRESH_SECONDS = 0.25
FEEDS_SECONDS = 2.0
"""How often it is asked how the venues are."""
KEPT_CLOSED = 8
WIDE = 110
"""From so many columns on everything is shown."""
LONGEST = {"Buy": 48, "Outcome": 14, "Venue": 10}


class Screen:
    """What is shown, and how it is drawn."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.open: dict[str, Opportunity] = {}
        self.closed: OrderedDict[str, Opportunity] = OrderedDict()
        self.feeds: list[FeedInfo] = []
        self.positions: dict[OutcomeKey, PositionInfo] = {}
        self.away = False
        """Arbiter cannot be reached: what is shown is how things were."""

    def take_opportunity(self, change: Opportunity) -> None:
        """An opening, a change or an end."""
        if change.state != "closed":
            self.open[change.id] = change
            return
        self.open.pop(change.id, None)
        self.closed[change.id] = change
        if len(self.closed) > KEPT_CLOSED:
            self.closed.popitem(last=False)

    def render(self, width: int) -> RenderableType:
        """The whole screen for a terminal of `width` columns. A narrow one shows less, and all that it shows can be read."""
        wide = width >= WIDE
        parts: list[RenderableType] = [
            Text(f"Arbiter at {self._address}    Ctrl-C to leave", style="dim"),
            *([Text("no news: Arbiter does not answer; waiting for it", style="yellow")] if self.away else []),
            *([feed_lines(self.feeds)] if self.feeds and not self.away else []),
            self._opportunities(wide),
            self._positions(wide),
        ]
        if self.closed:
            parts.append(self._ended(wide))
        return Group(*(Padding(part, (0, 0, 1, 0)) for part in parts))

    def _opportunities(self, wide: bool) -> Table:
        table = _table(f"Opportunities: {len(self.open)} open", ["Market", "Buy"] if wide else ["Market"], ["Size", "Net", "Each"])
        for change in self.open.values():
            legs = _line(_legs(change))
            market = [_line(change.title), legs] if wide else [Group(_line(change.title), legs)]
            each = format_micros(change.net_per_contract, 3)
            table.add_row(*market, format_micros(change.size), format_dollars(change.net), each, style="green")
        if not self.open:
            table.add_row(Text("none now", style="dim"))
        return table

    def _ended(self, wide: bool) -> Table:
        table = _table("Opportunities that ended, newest first", ["Market", "Buy"] if wide else ["Market"], ["Size", "Net", "Lasted"])
        for change in reversed(self.closed.values()):
            market = [_line(change.title), _line(_legs(change))] if wide else [_line(change.title)]
            lasted = f"{change.duration_ms / 1000:.1f} s"
            table.add_row(*market, format_micros(change.size), format_dollars(change.net), lasted, style="dim")
        return table

    def _positions(self, wide: bool) -> Table:
        numbers = ["Size", "Cost", "Mark", "Unrealised", "Realised", "Fees"] if wide else ["Size", "Unrealised"]
        table = _table(f"Positions: {len(self.positions)}", ["Market", "Outcome", "Venue"], numbers)
        for position in self.positions.values():
            shown = {
                "Size": format_micros(position.size),
                "Cost": format_dollars(position.cost),
                "Mark": "?" if position.mark_price is None else format_micros(position.mark_price),
                "Unrealised": "?" if position.unrealised_pnl is None else format_dollars(position.unrealised_pnl),
                "Realised": format_dollars(position.realised_pnl),
                "Fees": format_dollars(position.fees),
            }
            words = (_line(position.title), _line(position.label), _line(position.outcome.venue))
            table.add_row(*words, *(shown[name] for name in numbers))
        if not self.positions:
            table.add_row(Text("no open positions", style="dim"))
        return table


def _table(title: str, words: list[str], numbers: list[str]) -> Table:
    """The first column takes what the others leave."""
    table = Table(title=title, title_justify="left", expand=True, box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for name in words:
        table.add_column(name, no_wrap=True, overflow="ellipsis", ratio=1 if name == "Market" else None, max_width=LONGEST.get(name))
    for name in numbers:
        table.add_column(name, no_wrap=True, justify="right", min_width=len(name))
    return table


def _line(text: str) -> Text:
    """What comes from a venue: never read as markup, and cut with an ellipsis where it is too long."""
    return Text(" ".join(text.split()), no_wrap=True, overflow="ellipsis")


def _legs(change: Opportunity) -> str:
    return " + ".join(f"{leg.label} {format_micros(leg.limit)} {leg.outcome.venue}" for leg in change.legs)


async def watch(address: str, api_key: str, seconds: float | None = None, tls: ClientTls = ClientTls()) -> None:  # noqa: B008 it is frozen
    """Show the screen until it is left, or for `seconds`, over restarts of Arbiter too. Raises ArbiterClientError."""
    screen, client = Screen(address), ArbiterClient(address, **tls._asdict())
    try:
        await client.connect()
    except NotConnected as error:
        raise NotConnected(f"{error}; start it with ./just run") from error
    try:
        await client.authenticate(api_key)
        with trio.move_on_after(float("inf") if seconds is None else seconds):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_follow_opportunities, client, screen)
                nursery.start_soon(_follow_positions, client, screen)
                nursery.start_soon(_follow_feeds, client, screen)
                await _draw(client, screen)
    finally:
        await client.close()


async def _follow_opportunities(client: ArbiterClient, screen: Screen) -> None:
    async with client.stream_opportunities() as changes:
        async for change in changes:
            screen.take_opportunity(change)


async def _follow_positions(client: ArbiterClient, screen: Screen) -> None:
    async with client.stream_positions() as updates:
        async for _ in updates:
            screen.positions = updates.view


async def _follow_feeds(client: ArbiterClient, screen: Screen) -> None:
    while True:
        with suppress(NotConnected, UnavailableError, UncertainError, RateLimitError):  # the screen says that nobody answers
            screen.feeds = await client.list_feeds()
        await trio.sleep(FEEDS_SECONDS)


async def _draw(client: ArbiterClient, screen: Screen) -> None:
    console = Console()
    with Live(screen.render(console.width), console=console, screen=console.is_terminal, auto_refresh=False) as live:
        while True:
            screen.away = not client.connected
            live.update(screen.render(console.width), refresh=console.is_terminal)
            await trio.sleep(REFRESH_SECONDS)
