"""`arbiter watch`: opportunities and positions of a running Arbiter, live in the terminal. A client like any other."""

from collections import OrderedDict

import trio
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from arbiter.domain.ids import OutcomeKey
from arbiter.domain.money import format_dollars, format_micros
from arbiter.rpc.client import ArbiterClient, Opportunity, PositionInfo

REFRESH_SECONDS = 0.25
KEPT_CLOSED = 8
NARROW = 60


class Screen:
    """What is shown, and how it is drawn."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.open: dict[str, Opportunity] = {}
        self.closed: OrderedDict[str, Opportunity] = OrderedDict()
        self.positions: dict[OutcomeKey, PositionInfo] = {}

    def take_opportunity(self, change: Opportunity) -> None:
        """An opening, a change or an end."""
        if change.state != "closed":
            self.open[change.id] = change
            return
        self.open.pop(change.id, None)
        self.closed[change.id] = change
        if len(self.closed) > KEPT_CLOSED:
            self.closed.popitem(last=False)

    def take_position(self, position: PositionInfo) -> None:
        """A position as it is now; size 0 removes it."""
        if position.size:
            self.positions[position.outcome] = position
        else:
            self.positions.pop(position.outcome, None)

    def render(self) -> RenderableType:
        return Group(
            Text(f"Arbiter at {self._address}    Ctrl-C to leave", style="dim"),
            self._opportunities(),
            self._positions(),
        )

    def _opportunities(self) -> Table:
        table = Table(title=f"Opportunities: {len(self.open)} open", title_justify="left", expand=True)
        for name, justify in (("Market", "left"), ("Buy", "left"), ("and", "left"), ("Size", "right"), ("Net", "right"), ("Each", "right")):
            table.add_column(name, justify="right" if justify == "right" else "left", no_wrap=True)
        table.add_column("Open for", justify="right", no_wrap=True)
        for change in self.open.values():
            table.add_row(*self._row(change), "now", style="green")
        for change in reversed(self.closed.values()):
            table.add_row(*self._row(change), f"{change.duration_ms / 1000:.1f} s", style="dim")
        if not self.open and not self.closed:
            table.add_row(Text("none yet", style="dim"))
        return table

    def _row(self, change: Opportunity) -> tuple[RenderableType, ...]:
        legs = [Text(f"{leg.label} at {format_micros(leg.limit)} on {leg.outcome.venue}") for leg in change.legs]
        each = f"{format_micros(change.net_per_contract, 3)}"
        # Text: what comes from a venue is never read as markup
        return Text(change.title[:NARROW]), *legs, format_micros(change.size), format_dollars(change.net), each

    def _positions(self) -> Table:
        table = Table(title=f"Positions: {len(self.positions)}", title_justify="left", expand=True)
        for name in ("Market", "Outcome", "Venue"):
            table.add_column(name, no_wrap=True)
        for name in ("Size", "Cost", "Mark", "Unrealised", "Realised", "Fees"):
            table.add_column(name, justify="right", no_wrap=True)
        for position in self.positions.values():
            table.add_row(
                Text(position.title[:NARROW]),
                Text(position.label),
                Text(position.outcome.venue),
                format_micros(position.size),
                format_dollars(position.cost),
                format_micros(position.mark_price) if position.mark_price is not None else "?",
                format_dollars(position.unrealised_pnl) if position.unrealised_pnl is not None else "?",
                format_dollars(position.realised_pnl),
                format_dollars(position.fees),
            )
        if not self.positions:
            table.add_row(Text("no open positions", style="dim"))
        return table


async def watch(address: str, api_key: str, seconds: float | None = None) -> None:
    """Show the screen until it is left, or for `seconds`. Raises ArbiterClientError when the connection ends."""
    screen = Screen(address)
    async with ArbiterClient.open(address) as client:
        await client.authenticate(api_key)
        with trio.move_on_after(float("inf") if seconds is None else seconds):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_follow_opportunities, client, screen)
                nursery.start_soon(_follow_positions, client, screen)
                await _draw(screen)


async def _follow_opportunities(client: ArbiterClient, screen: Screen) -> None:
    async with client.stream_opportunities() as changes:
        async for change in changes:
            screen.take_opportunity(change)


async def _follow_positions(client: ArbiterClient, screen: Screen) -> None:
    async with client.stream_positions() as updates:
        async for update in updates:
            for position in update.positions:
                screen.take_position(position)


async def _draw(screen: Screen) -> None:
    console = Console()
    with Live(screen.render(), console=console, screen=console.is_terminal, auto_refresh=False) as live:
        while True:
            live.update(screen.render(), refresh=console.is_terminal)
            await trio.sleep(REFRESH_SECONDS)
