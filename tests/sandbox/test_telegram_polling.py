"""getUpdates: what is confirmed, who is told of a conflict, when a poll ends; and answers that a connection gives later."""

import pytest

from arbiter.sandbox import http
from arbiter.sandbox.http import Connection, Deferred, json_response
from arbiter.sandbox.telegram import updates
from arbiter.sandbox.telegram.engine import TelegramEngine
from arbiter.sandbox.telegram.limits import UNLIMITED
from tests.botapi import NOW, TOKEN, BotClient

OTHER = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"


@pytest.fixture
def engine():
    return TelegramEngine(TOKEN, limits=UNLIMITED)


@pytest.fixture
def bot(engine):
    return BotClient(engine)


def poll(bot, seconds=30, **more):
    line = bot.line()
    query = "".join(f"&{name}={value}" for name, value in more.items())
    line.ask("GET", f"/bot{TOKEN}/getUpdates?timeout={seconds}{query}")
    return line


def test_updates_are_told_again_until_an_offset_confirms_them(bot, engine):
    for text in ("one", "two", "three"):
        engine.people.say(text, NOW)
    first, second, third = bot.updates()
    assert [each["message"]["text"] for each in (first, second, third)] == ["one", "two", "three"]
    assert second["update_id"] == first["update_id"] + 1
    assert bot.updates() == [first, second, third]
    assert bot.updates(offset=second["update_id"]) == [second, third]
    assert bot.updates(limit=1) == [second]
    assert bot.updates(offset=third["update_id"] + 1) == bot.updates() == []


def test_a_negative_offset_keeps_so_many_from_the_end(bot, engine):
    for text in ("one", "two", "three"):
        engine.people.say(text, NOW)
    assert [each["message"]["text"] for each in bot.updates(offset=-2)] == ["two", "three"]
    assert len(bot.updates()) == 2


def test_numbers_go_on_growing_over_a_restart_so_that_a_kept_offset_stays_right(engine):
    before = [engine.people.say(f"{n}", NOW).message_id for n in range(50)]
    after = TelegramEngine(TOKEN)
    said = after.people.say("x", NOW + 60_000)
    assert said.message_id > before[-1]
    assert BotClient(after).updates()[0]["update_id"] > BotClient(engine).updates()[-1]["update_id"]


def test_a_poll_waits_and_is_answered_by_what_happens(bot, engine):
    line = poll(bot)
    assert line.answer() is None
    engine.people.say("hello", NOW)
    told = line.answer()
    assert told is not None
    assert [each["message"]["text"] for each in told.json["result"]] == ["hello"]


def test_a_poll_whose_time_is_over_is_answered_with_nothing(bot, engine):
    line = poll(bot, 30)
    engine.tick(NOW + 29_999)
    assert line.answer() is None
    engine.tick(NOW + 30_000)
    told = line.answer()
    assert told is not None
    assert told.json == {"ok": True, "result": []}
    long = poll(bot, 999_999)
    engine.tick(NOW + 50_000)
    assert long.answer() is not None


def test_of_two_polls_the_older_one_ends_with_a_conflict(bot, engine):
    old, new = poll(bot), poll(bot)
    told = old.answer()
    assert told is not None
    assert (told.status, told.json) == (409, {"ok": False, "error_code": 409, "description": OTHER})
    assert new.answer() is None
    engine.people.say("hello", NOW)
    assert new.answer() is not None


def test_setting_a_webhook_ends_the_poll(bot):
    line = poll(bot)
    bot.call("setWebhook", url="https://example.com/hook")
    told = line.answer()
    assert told is not None
    assert told.json["description"] == "Conflict: terminated by setWebhook request"


def test_only_the_kinds_that_were_asked_for_are_told_and_the_choice_is_kept(bot, engine):
    assert bot.updates(allowed_updates=["callback_query"]) == []
    engine.people.say("unheard", NOW)
    assert bot.updates() == []
    bot.updates(allowed_updates=[])
    engine.people.say("heard", NOW)
    assert len(bot.updates()) == 1
    assert bot.refused("getUpdates", allowed_updates="nonsense") == "400 Bad Request: can't parse allowed_updates JSON object"


def test_updates_that_nobody_fetches_are_bounded(monkeypatch):
    monkeypatch.setattr(updates, "MOST_WAITING", 5)
    small = TelegramEngine(TOKEN)
    for number in range(9):
        small.people.say(f"{number}", NOW)
    assert [each["message"]["text"] for each in BotClient(small).updates()] == ["4", "5", "6", "7", "8"]


def test_a_poller_that_left_is_forgotten_and_loses_no_update(bot, engine):
    line = poll(bot)
    assert engine.state.updates.polled
    line.server.end()
    assert not engine.state.updates.polled
    engine.people.say("kept", NOW)
    assert [each["message"]["text"] for each in bot.updates()] == ["kept"]


# -- answers that come later, on one connection --


class Later:
    """Answers /later when the test says so, and everything else at once."""

    def __init__(self):
        self.owed = []
        self.gone = 0

    def handle(self, request, now_ms):
        if request.path != "/later":
            return json_response(request.path)
        self.owed.append(Deferred(self.leave))
        return self.owed[-1]

    def leave(self):
        self.gone += 1

    def open_socket(self, request, socket, now_ms):
        return json_response("no", 404)


def get(path):
    return f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode()


def bodies(data):
    return [part.partition(b"\r\n\r\n")[2] for part in data.split(b"HTTP/1.1 ")[1:]]


def test_requests_sent_ahead_are_answered_in_their_order():
    app = Later()
    connection = Connection(app)
    connection.receive(get("/a") + get("/later") + get("/b"), NOW)
    connection.receive(get("/later") + get("/c"), NOW)
    assert bodies(connection.data_to_send()) == [b'"/a"']
    app.owed[0].complete(json_response("first"))
    assert connection.data_to_send() == b""
    connection.resume(NOW)
    assert bodies(connection.data_to_send()) == [b'"first"', b'"/b"']
    app.owed[1].complete(json_response("second"))
    connection.receive(get("/d"), NOW)
    assert bodies(connection.data_to_send()) == [b'"second"', b'"/c"', b'"/d"']


def test_only_the_first_answer_counts():
    app = Later()
    connection = Connection(app)
    connection.receive(get("/later"), NOW)
    app.owed[0].complete(json_response("one"))
    app.owed[0].complete(json_response("two"))
    connection.resume(NOW)
    connection.resume(NOW)
    assert bodies(connection.data_to_send()) == [b'"one"']


@pytest.mark.parametrize("ending", ["eof", "end", "drop"])
def test_the_end_of_the_connection_is_told_once(ending):
    app = Later()
    connection = Connection(app)
    connection.receive(get("/later"), NOW)
    if ending == "eof":
        connection.receive(b"", NOW)
    elif ending == "drop":
        connection.drop()
    connection.end()
    connection.end()
    assert (app.gone, app.owed[0].gone, app.owed[0].open) == (1, True, False)
    app.owed[0].complete(json_response("late"))
    connection.resume(NOW)
    assert connection.data_to_send() == b""


def test_what_a_peer_sends_ahead_of_an_answer_is_bounded():
    app = Later()
    connection = Connection(app)
    connection.receive(get("/later"), NOW)
    for _ in range(http.LARGEST_PIPELINE // len(get("/a"))):
        connection.receive(get("/a"), NOW)
    assert not connection.closed
    connection.receive(get("/a"), NOW)
    assert connection.cut


def test_a_close_after_a_late_answer_is_honoured():
    app = Later()
    connection = Connection(app)
    connection.receive(b"GET /later HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", NOW)
    app.owed[0].complete(json_response("bye"))
    connection.resume(NOW)
    assert bodies(connection.data_to_send()) == [b'"bye"']
    assert connection.closed


def test_nonsense_behind_a_waiting_request_is_refused_after_the_answer():
    app = Later()
    connection = Connection(app)
    connection.receive(get("/later") + b"\x00nonsense\r\n\r\n", NOW)
    app.owed[0].complete(json_response("ok"))
    connection.resume(NOW)
    assert connection.data_to_send().count(b"HTTP/1.1 ") == 2
    assert connection.closed
