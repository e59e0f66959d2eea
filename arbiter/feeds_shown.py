"""How the feeds of the venues' market data are shown in a terminal: a line for each in `arbiter watch`, a table in `arbiter top`."""

from collections.abc import Iterable, Iterator

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from arbiter.rpc.client_market_types import FeedInfo

STALE_CATALOGUE_MS = 900_000
"""It is read every five minutes: when it is older than this, something is wrong with it."""
COLUMNS = {"Books": 50, "Fresh": 40, "Markets": 60, "Oldest proof": 75, "Catalogue": 90, "Lines": 100}
"""What is shown of a feed, and from which width of the terminal on."""


def feed_lines(feeds: Iterable[FeedInfo]) -> Text:
    """One line for each venue: whether it is there, and how many of its books can be acted on."""
    text = Text()
    for feed in feeds:
        problem = _problem(feed)
        text.append("\n" if text else "")
        text.append(f"{_line(feed.venue)}: ", style="dim")
        style = "red" if not feed.connected else "yellow" if problem or feed.fresh < feed.books else "dim"
        books = f"{feed.fresh:,} of {feed.books:,} books fresh"
        text.append(f"{state(feed)}, {books}{f'; {problem}' if problem else ''}", style=style)
    return text


def feeds_table(feeds: Iterable[FeedInfo], width: int) -> RenderableType:
    """A row for each venue, what is wrong, and what their connectors have counted beside nothing."""
    told = tuple(feeds)
    shown = [name for name, least in COLUMNS.items() if width >= least]
    table = Table(expand=True, box=SIMPLE_HEAD, show_edge=False, padding=0, pad_edge=False)
    table.add_column("Market data", no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column("State", no_wrap=True, min_width=len("connected"))
    for name in shown:
        table.add_column(name, no_wrap=True, justify="right", min_width=len(name))
    for feed in told:
        figures = _figures(feed)
        style = "red" if not feed.connected else "green" if state(feed) == "connected" else "yellow"
        table.add_row(Text(_line(feed.venue)), Text(state(feed), style=style), *(figures[name] for name in shown))
    return Group(table, *_notes(told))


def state(feed: FeedInfo) -> str:
    """Of all its lines together."""
    down = sum(not line.connected for line in feed.lines)
    if not feed.connected:
        return "down"
    return f"{down} of {len(feed.lines)} lines down" if down else "connected"


def age(milliseconds: int) -> str:
    """In the unit that a person would choose."""
    seconds = milliseconds / 1_000
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6_000 else f"{seconds / 3_600:.0f} h"


def _figures(feed: FeedInfo) -> dict[str, str]:
    return {
        "Books": f"{feed.books:,}",
        "Fresh": f"{feed.fresh:,}",
        "Markets": f"{feed.followed:,}" if feed.followed == feed.markets else f"{feed.followed:,} of {feed.markets:,}",
        "Oldest proof": age(feed.oldest_proof_ms) if feed.trusted else "-",
        "Catalogue": "not read yet" if feed.catalogue_age_ms is None else f"{age(feed.catalogue_age_ms)} old",
        "Lines": str(len(feed.lines)),
    }


def _notes(feeds: Iterable[FeedInfo]) -> Iterator[Text]:
    for feed in feeds:
        problem = _problem(feed)
        if problem:
            yield Text(f"{_line(feed.venue)}: {problem}", style="yellow")
        counted = [f"{_line(name).replace('_', ' ')} {count:,}" for name, count in sorted(feed.counters.items()) if count]
        if counted:
            yield Text(f"{_line(feed.venue)} counted: {', '.join(counted)}", style="dim")


def _problem(feed: FeedInfo) -> str:
    if feed.problem:
        return _line(feed.problem)
    old = feed.catalogue_age_ms is not None and feed.catalogue_age_ms > STALE_CATALOGUE_MS
    return "the catalogue was not read for long" if old else ""


def _line(text: str) -> str:
    """One line, without what a terminal would obey."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())
