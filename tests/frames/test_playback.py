"""A network whose other end is a recording: the production clients on it, under the clock that stands."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from arbiter.errors import ConfigError, VenueUnavailable
from arbiter.frames import playback as playback_module
from arbiter.frames.file import FramesFile, write_whole
from arbiter.frames.lines import Closed, Exchange, Gap, Header, Line, Opened, Received, Sent
from arbiter.frames.lockstep import StandingClock, drive
from arbiter.frames.playback import Playback
from arbiter.frames.venue_side import Answer, Asked
from arbiter.runtime import Environment
from arbiter.venues.rest import RestClient
from arbiter.venues.websocket import connected

SECOND = 1_000_000_000
VENUE = "kalshi"


def rest(seconds: float, answer: str, target: str = "/a", **changes: Any) -> Exchange:
    values: dict[str, Any] = {"method": "GET", "status": 200, "answer": answer, **changes}
    return Exchange(round(seconds * SECOND), 0, VENUE, "k", target=target, **values)


def opened(seconds: float, n: int = 1) -> Opened:
    return Opened(round(seconds * SECOND), 0, n, VENUE, "k", "/ws")


def sent(seconds: float, text: str, n: int = 1) -> Sent:
    return Sent(round(seconds * SECOND), 0, n, text)


def told(seconds: float, text: str, n: int = 1, **changes: Any) -> Received:
    return Received(round(seconds * SECOND), 0, n, text, **changes)


class Run:
    """Plays lines to a program; what the program notes comes with the second at which it did."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "a.zst"
        self.notes: list[tuple[float, Any]] = []
        self.playback: Playback

    def note(self, what: Any) -> None:
        self.notes.append((round(trio.current_time(), 3), what))

    def __call__(self, lines: list[Line], program: Callable[["Run"], Awaitable[None]], fallback: Any = None, **header: Any) -> list[Any]:
        write_whole(self._path, Header("arbiter-frames-1", 0, {VENUE: {}}, **header), iter(lines))
        self.playback = Playback(FramesFile(self._path), fallback)
        clock = StandingClock()

        async def main() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(program, self)
                await drive(clock, self.playback)
                nursery.cancel_scope.cancel()

        trio.run(main, clock=clock)
        return self.notes

    def rest(self) -> RestClient:
        return RestClient(VENUE, "http://k", self.playback.network(VENUE), Environment.simulated(1))

    async def listen(self, first: bytes = b"hello", name: str = "") -> None:
        """One connection, noted from its first message to its end."""
        async with connected(VENUE, self.playback.network(VENUE), "ws://k/ws") as socket:
            await socket.send_text(first)
            try:
                await socket.listen(lambda message: self.note(name + message.decode()), lambda: self.note(name + "alive"))
            except VenueUnavailable as error:
                self.note(name + error.problem)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


# -- requests --


async def ask_four_times(run: Run) -> None:
    async with run.rest() as client:
        for _ in range(4):
            run.note(await client.get("/a", int))


def test_the_same_request_gets_the_recorded_answers_in_order_and_the_last_one_again(run):
    assert run([rest(1, "1"), rest(3, "2")], ask_four_times) == [(1, 1), (3, 2), (3, 2), (3, 2)]


def test_an_answer_comes_when_it_came_and_one_asked_for_far_too_soon_at_once(run):
    async def program(run: Run) -> None:
        async with run.rest() as client:
            run.note(await client.get("/a", int))
            run.note(await client.get("/b", int))

    assert run([rest(4, "1"), rest(60, "2", "/b")], program) == [(4, 1), (4, 2)]


def test_a_request_that_is_not_in_the_recording_gets_a_503(run):
    async def program(run: Run) -> None:
        async with run.rest() as client:
            with pytest.raises(VenueUnavailable, match="HTTP 503"):
                await client.get("/other", int)
            run.note("refused")

    assert [what for _, what in run([rest(9, "1")], program)] == ["refused"]
    assert run.playback.counts["unanswered"] == 3


def test_a_recorded_refusal_and_a_broken_answer_are_played_as_well(run):
    async def program(run: Run) -> None:
        async with run.rest() as client:
            run.note(await client.get("/a", int))

    lines = [rest(1, "no", status=429, headers={"retry-after": "2"}), rest(3, "", status=0), rest(5, "7")]
    assert run([*lines, rest(9, "9", "/end")], program) == [(5, 7)]


def test_a_list_in_another_order_is_answered_from_what_was_told_last_of_each_element(run):
    async def program(run: Run) -> None:
        await trio.sleep(5)
        async with run.rest() as client:
            run.note(await client.post("/books", [{"token_id": "72"}, {"token_id": "71"}, {"token_id": "70"}], list[dict[str, str]]))

    body = '[{"token_id":"71"},{"token_id":"72"}]'
    first = '[{"asset_id":"71","hash":"a"},{"asset_id":"72","hash":"b"}]'
    second = '[{"hash":"c","asset_id":"71"}]'
    later = '[{"asset_id":"72","hash":"too late"}]'
    lines = [rest(at, answer, "/books", method="POST", body=body) for at, answer in ((1, first), (2, second), (8, later))]
    assert run(lines, program) == [(5, [{"asset_id": "72", "hash": "b"}, {"hash": "c", "asset_id": "71"}])]


def test_what_was_converted_is_answered_by_the_fallback(run):
    async def program(run: Run) -> None:
        async with run.rest() as client:
            run.note(await client.get("/a?x=1", int))

    def fallback(asked: Asked) -> Answer | None:
        return Answer(200, b"5") if asked.target == "/a?x=1" else None

    assert run([Gap(SECOND, 0, "")], program, fallback) == [(0, 5)]


# -- WebSockets --


def test_messages_come_at_their_time_each_by_itself_and_the_end_as_it_was(run):
    lines = [
        opened(1),
        sent(1, "hello"),
        told(2, "a"),
        told(2, "b"),
        told(3, "", op="ping"),
        Closed(4 * SECOND, 0, 1, "venue", 1001, "bye"),
    ]
    assert run([*lines, Gap(9 * SECOND, 0, "")], Run.listen) == [
        *((2, "a"), (2, "b"), (3, "alive")),
        (4, "the socket was closed (1001 bye)"),
    ]
    assert run.playback.counts == {"delivered": 3, "gaps": 1}


def test_a_message_of_any_length_comes_whole(run):
    texts = ["x" * length for length in (0, 1, 125, 126, 65_535, 65_536, 300_000)]
    lines = [opened(0), *(told(1 + number, text) for number, text in enumerate(texts))]
    assert [what for _, what in run(lines, Run.listen)] == texts


def test_a_client_that_comes_late_hears_everything_from_the_beginning(run):
    async def program(run: Run) -> None:
        await trio.sleep(10)
        await run.listen()

    lines = [opened(1), told(2, "a"), told(3, "b"), told(12, "c")]
    assert run(lines, program) == [(10, "a"), (10, "b"), (12, "c")]


def test_of_several_connections_each_is_the_one_that_began_with_the_same_message(run):
    async def program(run: Run) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run.listen, b"second", "2")
            nursery.start_soon(run.listen, b"first", "1")
            nursery.start_soon(run.listen, b"unheard of", "3")

    lines = [opened(0, 1), opened(0, 2), opened(0, 3), sent(0, "first", 1), sent(0, "second", 2), sent(0, "third", 3)]
    lines += [told(1, "a", 1), told(2, "b", 2), told(3, "c", 3)]
    assert run(lines, program) == [(1, "1a"), (2, "2b"), (3, "3c")]


def test_a_connection_is_refused_until_the_time_of_the_recorded_one_is_near(run):
    async def program(run: Run) -> None:
        while True:
            try:
                await run.listen()
            except VenueUnavailable:
                run.note("refused")
            await trio.sleep(10)

    lines = [opened(1), told(2, "a"), Closed(3 * SECOND, 0, 1, "venue"), opened(27, 2), told(28, "b", 2)]
    assert run(lines, program) == [
        *((2, "a"), (3, "the venue closed the connection"), (13, "refused")),
        *((28, "b"),),
    ]
    assert run.playback.counts["refused"] == 1


def test_what_comes_after_the_client_has_left_is_counted_and_not_kept(run, monkeypatch):
    async def program(run: Run) -> None:
        with trio.move_on_after(2.5):
            await run.listen()

    assert run([opened(1), told(2, "a"), told(3, "b"), told(4, "c")], program) == [(2, "a")]
    assert run.playback.counts == {"delivered": 1, "undelivered": 2}


async def do_nothing(run: Run) -> None:
    await trio.lowlevel.checkpoint()


def test_messages_for_a_client_that_never_comes_do_not_pile_up(run, monkeypatch):
    monkeypatch.setattr(playback_module, "MOST_WAITING", 3)
    assert run([opened(1), *(told(2, "a") for _ in range(10))], do_nothing) == []
    assert run.playback.counts == {"undelivered": 10}


async def ping_both_ways(run: Run) -> None:
    async with connected(VENUE, run.playback.network(VENUE), "ws://k/ws") as socket:
        await socket.send_text(b"hello")
        await socket.send_text(b"PING")
        await socket.ping()
        await socket.listen(lambda message: run.note(message.decode()), lambda: run.note("alive"))


def test_pings_are_answered_where_no_answers_were_recorded_and_not_where_they_were(run):
    lines = [opened(0), told(1, "a"), told(2, "b")]
    assert run(lines, ping_both_ways) == [(1, "a"), (2, "b")]
    run.notes.clear()
    assert run(lines, ping_both_ways, controls=False) == [(0, "PONG"), (0, "alive"), (1, "a"), (2, "b")]


def test_the_programs_own_timers_fire_between_two_messages_at_their_time(run):
    async def program(run: Run) -> None:
        for _ in range(3):
            await trio.sleep(0.7)
            run.note("tick")

    assert run([Gap(SECOND, 0, ""), Gap(2 * SECOND, 0, "")], program) == [(0.7, "tick"), (1.4, "tick")]


def test_a_file_that_is_wrong_is_refused_before_anything_plays(tmp_path):
    path = tmp_path / "a.zst"
    write_whole(path, Header("arbiter-frames-1", 0, {}), iter([opened(1), told(2, "a", 5)]))
    with pytest.raises(ConfigError, match="line 3: connection 5 is not open"):
        Playback(FramesFile(path))
