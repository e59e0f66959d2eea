"""The chat page's endpoints: what a person sees and does, who is kept out, and that everything is bounded."""

import json

import pytest

from arbiter.sandbox.telegram import chat_page
from arbiter.sandbox.telegram.engine import TelegramEngine
from arbiter.sandbox.telegram.limits import UNLIMITED
from arbiter.sandbox.telegram.params import Upload
from arbiter.sandbox.telegram.people import person
from tests.botapi import NOW, TOKEN, BotClient, Line, png

CHAT = person("You").id
SAME = {"origin": "http://127.0.0.1:8081", "content-type": "application/json", "sec-fetch-site": "same-origin"}


@pytest.fixture
def engine():
    return TelegramEngine(TOKEN, limits=UNLIMITED)


@pytest.fixture
def bot(engine):
    return BotClient(engine)


def get(engine, target, **headers):
    line = Line(engine)
    line.ask("GET", target, {name.replace("_", "-"): value for name, value in headers.items()})
    return line.answer()


def post(engine, name, headers=SAME, body=None, **what):
    line = Line(engine)
    line.ask("POST", f"/chat/{name}", headers, json.dumps(what).encode() if body is None else body)
    return line.answer()


def news(engine, after=0, name="You"):
    return get(engine, f"/chat/updates?after={after}&wait=0&as={name}").json


def test_the_page_and_its_parts_are_served_with_a_strict_policy(engine):
    for path, kind in (
        ("/", "text/html"),
        ("/?start=CODE", "text/html"),
        ("/chat.css", "text/css"),
        ("/chat.js", "text/javascript"),
        ("/icon.svg", "image/svg"),
    ):
        told = get(engine, path)
        assert told.status == 200
        assert told.headers["content-type"].startswith(kind)
        assert "default-src 'none'" in told.headers["content-security-policy"]
        assert "unsafe" not in told.headers["content-security-policy"]
        assert told.headers["x-content-type-options"] == "nosniff"
    assert get(engine, "/other").status == get(engine, "/page/../engine.py").status == 404


def test_what_a_person_writes_reaches_the_bot_and_the_answer_the_person(engine, bot):
    assert post(engine, "send", text="/start CODE").json["ok"] is True
    (update,) = bot.updates()
    assert update["message"]["text"] == "/start CODE"
    bot.call("sendMessage", chat_id=update["message"]["chat"]["id"], text="<b>hi</b>", parse_mode="HTML")
    told = news(engine)
    assert [message["text"] for message in told["messages"]] == ["/start CODE", "hi"]
    assert (told["reset"], told["started"], told["bot"]["username"]) == (True, True, "arbiter_sandbox_bot")


def test_only_what_changed_is_told_again(engine, bot):
    post(engine, "send", text="one")
    sent = [bot.call("sendMessage", chat_id=CHAT, text=text)["message_id"] for text in ("two", "three")]
    before = news(engine)
    assert news(engine, before["revision"])["messages"] == []
    bot.call("editMessageText", chat_id=CHAT, message_id=sent[0], text="2")
    bot.call("deleteMessage", chat_id=CHAT, message_id=sent[1])
    bot.call("setMyCommands", commands=[{"command": "go", "description": "Go"}])
    bot.call("sendChatAction", chat_id=CHAT, action="typing")
    told = news(engine, before["revision"])
    assert ([message["text"] for message in told["messages"]], told["gone"], told["reset"]) == (["2"], [sent[1]], False)
    assert (told["commands"], told["typing_ms"]) == ([{"command": "go", "description": "Go"}], 5000)


def test_a_revision_from_before_a_restart_begins_anew(engine):
    post(engine, "send", text="one")
    revision = news(engine)["revision"]
    again = TelegramEngine(TOKEN)
    line = Line(again, NOW + 5000)
    line.ask("GET", f"/chat/updates?after={revision}")
    assert line.answer().json["reset"] is True


def test_a_page_waits_for_a_change_and_is_let_go_after_a_while(engine, bot):
    post(engine, "send", text="one")
    revision = news(engine)["revision"]
    line = Line(engine)
    line.ask("GET", f"/chat/updates?after={revision}")
    assert line.answer() is None
    bot.call("sendMessage", chat_id=CHAT, text="two")
    told = line.answer().json
    assert [message["text"] for message in told["messages"]] == ["two"]
    line.ask("GET", f"/chat/updates?after={told['revision']}&wait=999")
    engine.tick(NOW + 24_999)
    assert line.answer() is None
    engine.tick(NOW + 25_000)
    assert line.answer().json["messages"] == []


def test_pages_that_wait_are_bounded(engine, monkeypatch):
    monkeypatch.setattr(chat_page, "MOST_WATCHERS", 2)
    revision = news(engine)["revision"]
    lines = [Line(engine) for _ in range(4)]
    for line in lines:
        line.ask("GET", f"/chat/updates?after={revision}")
    assert [line.answer() is not None for line in lines] == [True, True, False, False]


def test_a_press_and_its_answer_meet_by_the_query(engine, bot):
    post(engine, "send", text="one")
    sent = bot.call("sendMessage", chat_id=CHAT, text="x", reply_markup={"inline_keyboard": [[{"text": "A", "callback_data": "a"}]]})
    revision = news(engine)["revision"]
    query = post(engine, "press", message_id=sent["message_id"], data="a").json["result"]["query"]
    assert bot.updates()[-1]["callback_query"]["id"] == query
    bot.call("answerCallbackQuery", callback_query_id=query, text="done", show_alert=True)
    assert news(engine, revision)["notices"] == [{"query": query, "text": "done", "alert": True, "url": ""}]
    assert post(engine, "press", message_id=sent["message_id"], data="b").status == 400


def test_each_person_sees_their_own_chat_alone(engine, bot):
    post(engine, "send", text="mine")
    post(engine, "send", by="Ann", text="hers")
    assert [message["text"] for message in news(engine)["messages"]] == ["mine"]
    assert [message["text"] for message in news(engine, name="Ann")["messages"]] == ["hers"]
    assert [update["message"]["from"]["first_name"] for update in bot.updates()] == ["You", "Ann"]


def test_people_edit_and_block(engine, bot):
    said = post(engine, "send", text="one").json["result"]
    assert post(engine, "edit", message_id=said["message_id"], text="two").json["result"]["text"] == "two"
    assert post(engine, "block").json["ok"] is True
    assert bot.refused("sendMessage", chat_id=CHAT, text="x") == "403 Forbidden: bot was blocked by the user"
    assert news(engine)["blocked"] is True


def test_pictures_are_shown_and_other_files_only_saved(engine):
    picture = engine.people.send_file(Upload("p.png", "text/html", png()), NOW)
    evil = engine.people.send_file(Upload('a"\r\nx: y.html', "text/html", b"<script>"), NOW)
    told = get(engine, f"/chat/file/{picture.photo[0].file_id}")
    assert (told.headers["content-type"], told.body) == ("image/png", png())
    told = get(engine, f"/chat/file/{evil.document.file_id}")
    assert told.headers["content-type"] == "application/octet-stream"
    assert told.headers["content-disposition"] == 'attachment; filename="a___x_ y.html"'
    assert get(engine, "/chat/file/none").status == 404


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "[::2]:1", "", "localhost:x", "127.0.0.1/x"]
)
def test_other_names_of_this_machine_are_kept_out_against_rebinding(engine, host):
    assert get(engine, "/", host=host).status == 403
    assert get(engine, "/chat/updates?wait=0", host=host).status == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:9", "localhost:8081", "[::1]:8081"])
def test_this_machines_own_names_are_let_in(engine, host):
    assert get(engine, "/", host=host).status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:8082"}, 403),
        ({"origin": "https://127.0.0.1:8081"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_acts_from_elsewhere_are_refused_and_change_nothing(engine, headers, status):
    assert post(engine, "send", SAME | headers, text="x").status == status
    assert news(engine)["messages"] == []


def test_another_site_may_open_the_page_but_not_read_the_chat(engine):
    assert get(engine, "/?start=X", sec_fetch_site="cross-site").status == 200
    assert get(engine, "/chat/updates?wait=0", sec_fetch_site="cross-site").status == 403


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("send", b"{", 400),
        ("send", b"[" * 9999, 400),
        ("send", b'{"text": 1}', 400),
        ("send", b'{"text": "x", "more": 1}', 400),
        ("send", b'{"text": ""}', 400),
        ("send", b'{"text": "x", "by": ""}', 400),
        ("send", json.dumps({"text": "x" * 4097}).encode(), 400),
        ("send", json.dumps({"text": "x", "by": "x" * 65}).encode(), 400),
        ("send", b'{"text": "' + b"x" * 70_000 + b'"}', 413),
        ("dance", b"{}", 404),
    ],
)
def test_bad_acts_are_refused(engine, name, body, status):
    assert post(engine, name, body=body).status == status


def test_bad_questions_are_refused(engine):
    for query in ("after=x", "after=-1", "wait=x", "as=", "as=" + "x" * 65):
        assert get(engine, f"/chat/updates?{query}").status == 400
    line = Line(engine)
    line.ask("DELETE", "/chat/updates")
    assert line.answer().status == 405
