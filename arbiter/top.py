"""`arbiter top`: the tree of actors and the venues' feeds of a running Arbiter, live in the terminal. An operator's client."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from math import ceil, log
from typing import NamedTuple

import trio
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from arbiter.feeds_shown import feeds_table
from arbiter.rpc.client import ArbiterClient, AuthenticationError, NotConnected, RateLimitError, UnavailableError, UncertainError
from arbiter.rpc.client_market_types import FeedInfo
from arbiter.rpc.client_tls import ClientTls
from arbiter.rpc.client_types import ActorInfo

REFRESH_SECONDS = 1.0
COLUMNS = {
    "Restarts": 41,
    "Mailbox": 49,
    "Handled/s": 66,
    "Busy": 71,
    "p99": 56,
    "Times": 80,
    "Lost": 90,
    "Longest": 100,
    "Handled": 110,
    "Conflated": 120,
}
"""What is shown of an actor, and from which width of the terminal on: names always have at least 20 columns."""
BARS = ("▁▂▃▄▅▆▇█", ".:-=+*#@")
"""From few to many, and the same for a terminal that knows no more than ASCII."""
TIMES_LEGEND = "Times: how many took under 4 us, 32 us, 256 us, 2 ms, 16 ms, 131 ms, 1 s, more"
BUCKETS_A_BAR = 3
BARS_SHOWN = 8
"""So many hold all buckets of the histogram."""
MOST_IN_GROUP = 12
"""Actors of one group that are shown: those in trouble and the busiest. A group of sessions can have thousands."""
GROUP = "group"
"""The kind of a line that stands for a group, which is there only while it is down."""
CALM = frozenset({"running", "passive"})
STYLES = {"running": "green", "passive": "dim", "stopped": "dim", "parked": "red", "backing_off": "yellow"}
"""Beside the word, which says it all."""


class Rate(NamedTuple):
    """What an actor did between two readings: messages a second, and the part of the time that it spent on them."""

    handled: float
    busy: float


class Screen:
    """The last reading, what changed since the one before, and how that is drawn."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._actors: dict[str, ActorInfo] = {}
        self._rates: dict[str, Rate] = {}
        self._feeds: Sequence[FeedInfo] = ()
        self._read_at = 0.0
        self.trouble = ""
        """Why there is no newer reading."""

    def take(self, actors: Sequence[ActorInfo], at: float, feeds: Sequence[FeedInfo] = ()) -> None:
        """A reading, taken at this second of a clock that never goes back."""
        self._feeds = feeds
        before, elapsed = self._actors, at - self._read_at
        # the root is in each path and needs no line
        self._actors = {actor.name.partition("/")[2]: actor for actor in actors}
        self._read_at, self.trouble = at, ""
        both = ((name, before[name], actor) for name, actor in self._actors.items() if name in before)
        self._rates = {
            name: Rate((new.handled - old.handled) / elapsed, min(1.0, (new.busy_us - old.busy_us) / 1e6 / elapsed))
            for name, old, new in both
            if elapsed > 0 and new.handled >= old.handled and new.busy_us >= old.busy_us  # else it is another one of that name
        }

    def render(self, width: int, *, ascii_only: bool = False) -> RenderableType:
        """The whole screen for a terminal of `width` columns."""
        parts: list[RenderableType] = [Text(f"Arbiter at {self._address}    {self._summary()}", style="dim")]
        if self.trouble:
            parts.append(Text(f"no news: {_line(self.trouble)}", style="yellow"))
        shown = [name for name, least in COLUMNS.items() if width >= least]
        parts.append(self._tree(shown, BARS[ascii_only]))
        if "Times" in shown:
            parts.append(Text(TIMES_LEGEND, style="dim"))
        if self._feeds:
            parts.append(feeds_table(self._feeds, width))
        if any(actor.last_error for actor in self._actors.values()):
            parts.append(self._errors())
        return Group(*(Padding(part, (0, 0, 1, 0)) for part in parts))

    def _summary(self) -> str:
        actors = [actor for actor in self._actors.values() if actor.kind != GROUP]
        down = Counter(_state(actor) for actor in self._actors.values() if actor.kind == GROUP)
        groups = f"; groups: {_counted(down)}" if down else ""
        return f"{len(actors)} actors: {_counted(Counter(map(_state, actors)))}{groups}"

    def _tree(self, numbers: list[str], bars: str) -> Table:
        table = _table("Actor")
        table.add_column("State", no_wrap=True, min_width=len("backing off"))
        for name in numbers:
            times = name == "Times"
            table.add_column(name, no_wrap=True, justify="left" if times else "right", min_width=BARS_SHOWN if times else len(name))
        shown, left_out = self._choose()
        for depth, label, name in lines_of(shown):
            actor = self._actors.get(name)
            more = f" (and {left_out[name]} more)" if name in left_out else ""
            title = Text(f"{'  ' * depth}{_line(label)}{more}", style="" if actor else "dim")
            table.add_row(title, *(self._cells(name, actor, numbers, bars) if actor else ()))
        return table

    def _choose(self) -> tuple[list[str], dict[str, int]]:
        """The names of the actors to show, in their order, and how many are left out of which group."""
        groups: defaultdict[str, list[str]] = defaultdict(list)
        for name in self._actors:
            groups[name.rpartition("/")[0]].append(name)
        left_out = {group: len(members) - MOST_IN_GROUP for group, members in groups.items() if len(members) > MOST_IN_GROUP}
        hidden = {name for group in left_out for name in sorted(groups[group], key=self._interest)[MOST_IN_GROUP:]}
        return [name for name in self._actors if name not in hidden], left_out

    def _interest(self, name: str) -> tuple[bool, float, int]:
        """Less comes first."""
        actor, rate = self._actors[name], self._rates.get(name)
        return actor.state in CALM, -(rate.busy if rate else 0.0), -actor.mailbox_depth

    def _cells(self, name: str, actor: ActorInfo, numbers: list[str], bars: str) -> Iterator[Text | str]:
        rate = self._rates.get(name)
        yield Text(_state(actor), style=STYLES.get(actor.state, "yellow"))
        if actor.kind == GROUP:
            yield from ([str(actor.restarts)] if "Restarts" in numbers else [])
            return
        figures = {
            "Restarts": str(actor.restarts),
            "Mailbox": str(actor.mailbox_depth),
            "Handled/s": "?" if rate is None else _per_second(rate.handled),
            "Busy": "?" if rate is None else f"{rate.busy:.0%}",
            "p99": duration(actor.p99_us) if actor.handled else "-",
            "Times": sparkline(actor.histogram, bars),
            "Lost": str(actor.lost),
            "Longest": duration(actor.longest_us) if actor.handled else "-",
            "Handled": str(actor.handled),
            "Conflated": str(actor.conflated),
        }
        yield from (figures[each] for each in numbers)

    def _errors(self) -> Table:
        table = _table("Last error of", ratio=None)
        table.add_column("", ratio=1, overflow="fold")
        for name, actor in self._actors.items():
            if actor.last_error:
                table.add_row(Text(_line(name.rpartition("/")[2])), Text(_line(actor.last_error)))
        return table


def lines_of(names: Iterable[str]) -> Iterator[tuple[int, str, str]]:
    """The lines of the tree, from the paths of its actors in their order: how deep, what it is called, its path. Groups come first."""
    before: list[str] = []
    for name in names:
        parts = name.split("/")
        shared = next((n for n, (old, new) in enumerate(zip(before, parts, strict=False)) if old != new), len(before))
        for depth in range(min(shared, len(parts) - 1), len(parts)):
            yield depth, parts[depth], "/".join(parts[: depth + 1])
        before = parts


def _per_second(count: float) -> str:
    return f"{count:.1f}" if 0 < count < 10 else f"{count:.0f}"


def _counted(states: Counter[str]) -> str:
    return ", ".join(f"{count} {state}" for state, count in states.most_common())


def sparkline(histogram: Sequence[int], bars: str = BARS[0]) -> str:
    """A histogram of handling times (see `ActorInfo`) in few characters, the fast ones first: blank where none was so slow.

    The height is the logarithm of the number, so that the one slow message of a million is seen.
    """
    counts = [sum(histogram[first : first + BUCKETS_A_BAR]) for first in range(0, BARS_SHOWN * BUCKETS_A_BAR, BUCKETS_A_BAR)]
    most = log(max(counts) + 1)
    return "".join(bars[ceil(log(count + 1) / most * len(bars)) - 1] if count else " " for count in counts)


def duration(microseconds: int) -> str:
    """In the unit that a person would choose."""
    if microseconds < 1_000:
        return f"{microseconds} us"
    if microseconds < 1_000_000:
        return f"{microseconds / 1_000:.3g} ms"
    return f"{microseconds / 1_000_000:.3g} s"


def _table(first: str, ratio: int | None = 1) -> Table:
    table = Table(expand=True, box=SIMPLE_HEAD, show_edge=False, padding=0, pad_edge=False)
    table.add_column(first, no_wrap=True, overflow="ellipsis", ratio=ratio)
    return table


def _state(actor: ActorInfo) -> str:
    return _line(actor.state.replace("_", " "))


def _line(text: str) -> str:
    """One line, without what a terminal would obey."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


async def top(address: str, api_key: str, *, once: bool = False, tls: ClientTls = ClientTls()) -> None:  # noqa: B008 it is frozen
    """Show the tree until it is left, or `once`, of two readings. Raises ArbiterClientError when the connection ends."""
    screen, client = Screen(address), ArbiterClient(address, persistent=False, **tls._asdict())
    try:
        await client.connect()
    except NotConnected as error:
        raise NotConnected(f"{error}; start it with ./just run") from error
    try:
        await client.authenticate(api_key)
        await _read(client, api_key, screen)
        console = Console()
        if once:
            await trio.sleep(REFRESH_SECONDS)
            await _read(client, api_key, screen)
            console.print(screen.render(console.width, ascii_only=console.options.ascii_only))
        else:
            await _draw(client, api_key, screen, console)
    finally:
        await client.close()


async def _draw(client: ArbiterClient, api_key: str, screen: Screen, console: Console) -> None:
    def drawn() -> RenderableType:
        return screen.render(console.width, ascii_only=console.options.ascii_only)

    with Live(drawn(), console=console, screen=console.is_terminal, auto_refresh=False) as live:
        while True:
            await trio.sleep(REFRESH_SECONDS)
            try:
                await _read(client, api_key, screen)
            except (UnavailableError, UncertainError, RateLimitError) as error:
                screen.trouble = str(error)  # a part restarts: just what one wants to go on looking at
            live.update(drawn(), refresh=console.is_terminal)


async def _read(client: ArbiterClient, api_key: str, screen: Screen) -> None:
    """One reading; signed in again where the token has expired."""
    try:
        actors = await client.list_actors()
    except AuthenticationError:
        await client.authenticate(api_key)
        actors = await client.list_actors()
    at = trio.current_time()
    try:
        feeds = await client.list_feeds()
    except (UnavailableError, UncertainError):
        feeds = []  # one of them is down, which the tree shows
    screen.take(actors, at, feeds)
