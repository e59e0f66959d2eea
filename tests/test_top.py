"""The screen of `arbiter top`: the tree, what its actors did between two readings, in a terminal of any width."""

import io
import socket
from typing import ClassVar

import msgspec
import pytest
import trio
from rich.console import Console

from arbiter.rpc.client import AuthenticationError, NotConnected, UnavailableError
from arbiter.rpc.client_market_types import FeedInfo
from arbiter.rpc.client_types import ActorInfo
from arbiter.top import BARS, MOST_IN_GROUP, Screen, duration, lines_of, sparkline, top

PATHS = [
    *("root/core/journal", "root/core/inputs/accounts", "root/core/inputs/kalshi_feed", "root/core/trading/sessions/ann"),
    "root/front/rpc",
]

FEED = FeedInfo("polymarket", True, "", 1, 1, 2, 2, 2, 0, 0, "", (), {"frames": 9})


def actor(name=PATHS[0], **changes):
    first = ActorInfo(name, "running", 0, "", 0, 0, 100, 50_000, 9_000, 4_096, (1, 99))
    return msgspec.structs.replace(first, **changes)


def drawn(screen, width=200):
    out = io.StringIO()
    Console(file=out, width=width).print(screen.render(width))
    return out.getvalue()


def row(screen, label, width=200):
    """The words of an actor's line."""
    tree, _, _ = drawn(screen, width).partition("Last error of")
    (line,) = [line for line in tree.splitlines() if line.split()[:1] == [label]]
    return line.split()[1:]


@pytest.fixture
def screen():
    return Screen("127.0.0.1:50051")


def test_actors_stand_under_their_groups_in_start_order(screen):
    screen.take([actor(path) for path in PATHS], 0)
    lines = [line[:20].rstrip() for line in drawn(screen).splitlines()]
    assert lines[lines.index("core") :][:10] == [
        "core",
        "  journal",
        "  inputs",
        "    accounts",
        "    kalshi_feed",
        "  trading",
        "    sessions",
        "      ann",
        "front",
        "  rpc",
    ]


def test_a_group_that_goes_on_after_its_inner_group_is_not_named_again():
    assert [label for _, label, _ in lines_of(["root/a", "root/b/c", "root/d"])] == ["root", "a", "b", "c", "d"]


def test_what_was_done_is_the_difference_of_two_readings_by_the_time_between_them(screen):
    screen.take([actor(handled=100, busy_us=50_000)], 10.0)
    assert row(screen, "journal")[:5] == ["running", "0", "0", "?", "?"]
    screen.take([actor(handled=150, busy_us=550_000, mailbox_depth=7)], 12.0)
    assert row(screen, "journal")[:5] == ["running", "0", "7", "25", "25%"]
    screen.take([actor(handled=151, busy_us=550_000)], 14.0)
    assert row(screen, "journal")[3:5] == ["0.5", "0%"]


def test_an_actor_that_is_new_or_began_to_count_anew_has_no_rate_yet(screen):
    screen.take([actor(handled=100)], 1.0)
    screen.take([actor(handled=3), actor(PATHS[1])], 2.0)
    assert row(screen, "journal")[3:5] == row(screen, "accounts")[3:5] == ["?", "?"]


def test_one_that_handled_nothing_has_no_times(screen):
    screen.take([actor(handled=0, busy_us=0, longest_us=0, p99_us=0, histogram=())], 0)
    assert row(screen, "journal")[5:] == ["-", "0", "-", "0", "0"]  # no bars between the first two


@pytest.mark.parametrize("state", ["waiting", "starting", "running", "backing_off", "parked", "stopping", "stopped", "passive", "new one"])
def test_a_state_is_a_word_and_not_only_a_colour(screen, state):
    screen.take([actor(state=state)], 0)
    assert f"1 {state.replace('_', ' ')}" in drawn(screen)
    assert " ".join(row(screen, "journal")).startswith(state.replace("_", " "))


def test_the_last_error_stands_whole_under_the_tree(screen):
    screen.take([actor(), actor(PATHS[1], restarts=3, state="parked", last_error="ValueError: " + "far too long " * 10)], 0)
    assert row(screen, "accounts")[:2] == ["parked", "3"]
    text = drawn(screen, 80)
    assert " ".join(text[text.index("Last error of") :].split()).count("far too long") == 10


def test_without_an_error_nothing_is_said_of_errors(screen):
    screen.take([actor()], 0)
    assert "Last error" not in drawn(screen)


NARROW = "Actor State Restarts Mailbox Handled/s Busy p99"
USUAL = f"{NARROW} Times"
WIDTHS = [
    *((71, NARROW), (79, NARROW), (80, USUAL), (89, USUAL), (90, f"{USUAL} Lost"), (100, f"{USUAL} Lost Longest")),
    *((110, f"{USUAL} Lost Longest Handled"), (120, f"{USUAL} Lost Longest Handled Conflated")),
]


@pytest.mark.parametrize(("width", "header"), WIDTHS)
def test_no_header_no_state_and_no_figure_is_cut_at_the_usual_widths(screen, width, header):
    busy = {"state": "backing_off", "restarts": 1234, "mailbox_depth": 65_536, "p99_us": 123_456, "longest_us": 987_654}
    path = "root/core/trading/position_tracker"  # the longest
    screen.take([actor(path, handled=0, busy_us=0)], 0)
    screen.take([actor(path, handled=123_456, busy_us=999_999, conflated=1_234_567, last_error="RuntimeError: no", **busy)], 1)
    lines = drawn(screen, width).splitlines()
    assert all(len(line) <= width for line in lines)
    assert header in [" ".join(line.split()) for line in lines]
    figures = ["backing", "off", "1234", "65536", "123456", "100%", "123", "ms"]
    assert row(screen, "position_tracker", width)[:8] == figures


@pytest.mark.parametrize(
    ("width", "header"),
    [(41, "Actor State Restarts"), (49, "Actor State Restarts Mailbox"), (56, "Actor State Restarts Mailbox p99")],
)
def test_a_narrow_terminal_drops_figures_before_it_cuts_a_name(screen, width, header):
    screen.take([actor("root/core/trading/position_tracker", handled=0)], 0)
    assert header in [" ".join(line.split()) for line in drawn(screen, width).splitlines()]
    assert row(screen, "position_tracker", width)[0] == "running"


def test_a_group_that_is_down_says_so_in_its_own_line_before_its_actors(screen):
    group = actor("root/core/inputs", kind="group", state="parked", restarts=2, handled=0, last_error="SupervisorExhausted: too often")
    paths = [actor(PATHS[0]), group, actor(PATHS[1], state="stopped"), actor(PATHS[4])]
    screen.take(paths, 0)
    screen.take(paths, 1)
    text = drawn(screen)
    lines = [line[:20].rstrip() for line in text.splitlines()]
    assert lines[lines.index("core") :][:6] == ["core", "  journal", "  inputs", "    accounts", "front", "  rpc"]
    assert row(screen, "inputs") == ["parked", "2"]
    assert "3 actors: 2 running, 1 stopped; groups: 1 parked" in text
    assert "SupervisorExhausted: too often" in text


def test_handling_times_are_drawn_from_the_fast_to_the_slow_so_that_a_single_slow_one_shows():
    histogram = [0] * 24
    histogram[4], histogram[9], histogram[23] = 1_000_000, 1_000, 1
    assert sparkline(histogram) == " █ ▅   ▁"
    assert sparkline(histogram, BARS[1]) == " @ +   ."
    assert sparkline([7] + 23 * [0]) == "█       "
    assert sparkline(()) == " " * 8


def test_a_terminal_that_knows_only_ascii_gets_nothing_else_from_us(screen):
    screen.take([actor()], 0)
    out = io.StringIO()
    console = Console(file=out, width=80)
    console.print(screen.render(80, ascii_only=True))
    assert "@" in out.getvalue()
    assert not set(BARS[0]) & set(out.getvalue())


def test_what_was_lost_is_counted(screen):
    screen.take([actor(lost=3)], 0)
    assert row(screen, "journal", 90)[-1] == "3"


@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize("text", ["[bold]x[/bold]", "[/]", "日本語" * 60, "a\x1b[31mb\nc", "", "x" * 300])
def test_no_name_no_error_and_no_width_breaks_the_screen_or_reaches_the_terminal(screen, width, text):
    screen.take([actor(f"root/sessions/{text}", last_error=text, state="parked")], 0)
    shown = drawn(screen, width)
    assert "\x1b" not in shown
    assert all(len(line) <= width for line in shown.splitlines())


def test_of_a_large_group_those_in_trouble_and_the_busiest_are_shown(screen):
    def members(busy_us):
        names = [f"root/sessions/user{number:02}" for number in range(40)]
        many = [actor(name, busy_us=1_000) for name in names]
        many[20] = actor(names[20], state="parked")
        many[30] = actor(names[30], busy_us=busy_us)
        return [*many, actor("root/rpc")]

    screen.take(members(1_000), 0)
    screen.take(members(900_000), 1)
    text = drawn(screen)
    shown = [line.split()[0] for line in text.splitlines() if line.lstrip().startswith("user")]
    assert len(shown) == MOST_IN_GROUP
    assert shown == sorted(shown)
    assert {"user20", "user30"} <= set(shown)
    assert "sessions (and 28 more)" in text
    assert "41 actors: 40 running, 1 parked" in text


TIMES = [(0, "0 us"), (999, "999 us"), (4_096, "4.1 ms"), (123_456, "123 ms"), (2_500_000, "2.5 s")]


@pytest.mark.parametrize(("microseconds", "text"), TIMES)
def test_times_stand_in_the_unit_that_fits(microseconds, text):
    assert duration(microseconds) == text


async def test_where_nobody_answers_it_says_how_to_start_it():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = f"127.0.0.1:{gone.getsockname()[1]}"
    with pytest.raises(NotConnected, match=f"^no Arbiter answers at {address}; start it with ./just run$"):
        await top(address, "key", once=True)


# -- reading again and again --


@pytest.fixture
def server(monkeypatch):
    """What a server would answer to each reading, the last again and again, and how often one signed in. Readings count up."""

    class Server:
        answers: ClassVar = [None]
        feeds_problem: ClassVar = None
        signed_in = readings = 0

    class Client:
        def __init__(self, address, **tls):
            pass

        async def connect(self):
            pass

        async def close(self):
            pass

        async def authenticate(self, api_key):
            Server.signed_in += 1

        async def list_actors(self):
            Server.readings += 1
            answer = Server.answers.pop(0) if len(Server.answers) > 1 else Server.answers[0]
            if answer is not None:
                raise answer
            return [actor(handled=Server.readings * 30)]

        async def list_feeds(self):
            if Server.feeds_problem is not None:
                raise Server.feeds_problem
            return [FEED]

    monkeypatch.setattr("arbiter.top.ArbiterClient", Client)
    return Server


async def look(seconds):
    """The screen as it is left after so long."""
    with trio.move_on_after(seconds):
        await top("127.0.0.1:50051", "key")


async def test_a_reading_is_taken_each_second(server, autojump_clock, capsys):
    await look(5.5)
    assert server.readings == 6
    assert "30" in capsys.readouterr().out


async def test_once_is_one_table_of_two_readings(server, autojump_clock, capsys):
    await top("127.0.0.1:50051", "key", once=True)
    assert (server.readings, trio.current_time()) == (2, 1)
    assert capsys.readouterr().out.count("journal") == 1


async def test_the_feeds_are_under_the_tree_and_where_they_cannot_be_read_the_tree_stays(server, autojump_clock, capsys):
    await top("127.0.0.1:50051", "key", once=True)
    assert "polymarket counted: frames 9" in capsys.readouterr().out
    server.feeds_problem = UnavailableError("a feed does not answer")
    await top("127.0.0.1:50051", "key", once=True)
    shown = capsys.readouterr().out
    assert "journal" in shown
    assert "Market data" not in shown


async def test_while_a_part_restarts_the_last_reading_stays_and_it_says_so(server, autojump_clock, capsys):
    trouble = UnavailableError("accounts is not running", "NOT_RUNNING")
    server.answers = [None, None, trouble]
    await look(4.5)
    shown = capsys.readouterr().out
    assert "no news: accounts is not running" in shown
    assert "journal" in shown
    server.answers = [None, trouble, None]
    await look(4.5)
    assert "no news" not in capsys.readouterr().out


async def test_an_expired_token_is_replaced(server, autojump_clock, capsys):
    server.answers = [None, None, AuthenticationError("expired", "UNAUTHENTICATED"), None]
    await look(4.5)
    assert server.signed_in == 2
    assert "no news" not in capsys.readouterr().out


async def test_a_connection_that_ends_ends_it(server, autojump_clock):
    server.answers = [None, None, NotConnected("the connection to Arbiter was lost")]
    with pytest.raises(NotConnected):
        await look(10)
