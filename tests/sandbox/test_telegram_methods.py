"""The Bot API's methods, bytes in and bytes out: what they answer, what they refuse and in which words, and their bounds."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbiter.sandbox.telegram import chats, files
from arbiter.sandbox.telegram.engine import TelegramEngine
from arbiter.sandbox.telegram.limits import UNLIMITED, SendLimits
from arbiter.sandbox.telegram.methods import METHODS
from arbiter.sandbox.telegram.people import person
from tests.botapi import NOW, TOKEN, BotClient, png

CHAT = person("You").id


@pytest.fixture
def engine():
    engine = TelegramEngine(TOKEN, limits=UNLIMITED)
    engine.people.say("/start", NOW)
    return engine


@pytest.fixture
def bot(engine):
    return BotClient(engine)


def keyboard(*rows):
    return {"inline_keyboard": [[{"text": text, "callback_data": data} for text, data in row] for row in rows]}


def test_a_token_of_another_form_is_no_token():
    for wrong in ("", "abc", "123456", "123456:", "x:abcdef", "123456:a b c"):
        with pytest.raises(ValueError, match="bot token"):
            TelegramEngine(wrong)


def test_get_me_names_the_bot_by_every_way_to_call_it(bot):
    expected = {"id": 123456, "is_bot": True, "username": "arbiter_sandbox_bot"}
    for told in (bot.raw("GET", "getMe"), bot.raw("POST", "getme"), bot.told("GETME"), bot.form("getMe")):
        assert told.status == 200
        assert told.json["ok"] is True
        assert told.json["result"].items() >= expected.items()


def test_wrong_tokens_and_unknown_methods_have_telegrams_answers(engine, bot):
    assert BotClient(engine, "123456:another-token").refused("getMe") == "401 Unauthorized"
    assert BotClient(engine, "nonsense").refused("getMe") == "404 Not Found"
    assert bot.refused("getMoney") == "404 Not Found: method not found"
    assert bot.raw("PUT", "getMe").status == 405


def test_parameters_may_come_as_query_form_json_or_multipart(bot):
    query = bot.raw("GET", f"sendMessage?chat_id={CHAT}&text=by%20query%20%F0%9F%8F%9F")
    form = bot.form("sendMessage", chat_id=str(CHAT), text="by form 🏟", reply_markup=json.dumps(keyboard([("A", "a")])))
    as_json = bot.told("sendMessage", chat_id=CHAT, text="by json 🏟", reply_markup=keyboard([("A", "a")]))
    multipart = bot.upload("sendMessage", "ignored", "x", b"x", chat_id=str(CHAT), text="by multipart 🏟")
    texts = [told.json["result"]["text"] for told in (query, form, as_json, multipart)]
    assert texts == ["by query 🏟", "by form 🏟", "by json 🏟", "by multipart 🏟"]
    assert form.json["result"]["reply_markup"] == as_json.json["result"]["reply_markup"] == keyboard([("A", "a")])


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"{"),
        ("application/json", b"[1]"),
        ("application/json", b"[" * 5000),
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=B", b"--B\r\nx"),
        ("multipart/form-data; boundary=B", b"--B\r\n\r\nx\r\n--B--"),
        ("application/x-www-form-urlencoded", b"a=1&" * 3000),
    ],
)
def test_a_body_that_is_not_what_it_says_is_refused(bot, kind, body):
    told = bot.raw("POST", "sendMessage", {"content-type": kind}, body)
    assert told.status == 400
    assert told.json["description"].startswith("Bad Request: ")


def test_a_message_has_telegrams_shape(bot):
    sent = bot.call("sendMessage", chat_id=CHAT, text="  /status of @somebody  ", reply_markup=keyboard([("A", "a"), ("B", "b")]))
    assert sent == {
        "message_id": sent["message_id"],
        "date": NOW // 1000,
        "chat": {"id": CHAT, "type": "private", "first_name": "You"},
        "from": {"id": 123456, "is_bot": True, "first_name": "Arbiter", "username": "arbiter_sandbox_bot"},
        "text": "/status of @somebody",
        "entities": [{"type": "bot_command", "offset": 0, "length": 7}, {"type": "mention", "offset": 11, "length": 9}],
        "reply_markup": keyboard([("A", "a"), ("B", "b")]),
    }


@pytest.mark.parametrize(
    ("params", "refusal"),
    [
        ({"text": ""}, "400 Bad Request: message text is empty"),
        ({"text": " \n "}, "400 Bad Request: message text is empty"),
        ({"text": "x" * 4097}, "400 Bad Request: message is too long"),
        ({"text": "🏟" * 2049}, "400 Bad Request: message is too long"),
        ({"text": "x" * 100_000, "parse_mode": "HTML"}, "400 Bad Request: message is too long"),
        ({"chat_id": 7}, "400 Bad Request: chat not found"),
        ({"chat_id": "@nowhere"}, "400 Bad Request: chat not found"),
        ({"chat_id": "12x"}, "400 Bad Request: chat not found"),
        ({"chat_id": ""}, "400 Bad Request: chat_id is empty"),
        ({"parse_mode": "XML"}, "400 Bad Request: unsupported parse_mode"),
        ({"reply_parameters": {"message_id": 9}}, "400 Bad Request: message to be replied not found"),
        ({"reply_to_message_id": 9}, "400 Bad Request: message to be replied not found"),
        ({"reply_markup": "{"}, "400 Bad Request: can't parse reply keyboard markup JSON object"),
        ({"reply_markup": [1]}, "400 Bad Request: object expected as reply markup"),
        ({"reply_markup": keyboard([("A", "")])}, "400 Bad Request: BUTTON_DATA_INVALID"),
        ({"reply_markup": keyboard([("A", "x" * 65)])}, "400 Bad Request: BUTTON_DATA_INVALID"),
        ({"reply_markup": keyboard([("A", "é" * 33)])}, "400 Bad Request: BUTTON_DATA_INVALID"),
        ({"reply_markup": keyboard([("A", "a")] * 9)}, "400 Bad Request: BUTTON_ROW_TOO_LONG"),
        ({"reply_markup": keyboard(*[[("A", "a")]] * 101)}, "400 Bad Request: REPLY_MARKUP_TOO_LONG"),
        (
            {"reply_markup": {"inline_keyboard": [[{"text": "A"}]]}},
            "400 Bad Request: can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard",
        ),
        (
            {"reply_markup": {"inline_keyboard": [[{"text": "A", "url": "javascript:x"}]]}},
            "400 Bad Request: inline keyboard button URL 'javascript:x' is invalid: Wrong HTTP URL",
        ),
        (
            {"entities": [{"type": "bold", "offset": 1, "length": 2}]},
            "400 Bad Request: entity begins or ends after the end of the message text",
        ),
    ],
)
def test_a_message_that_telegram_would_refuse_is_refused_in_its_words(bot, params, refusal):
    assert bot.refused("sendMessage", **({"chat_id": CHAT, "text": "x"} | params)) == refusal


def test_what_just_fits_is_sent(bot):
    assert len(bot.call("sendMessage", chat_id=CHAT, text="x" * 4096)["text"]) == 4096
    rows = [[(f"B{row}", "x" * 64)] * 8 for row in range(12)]
    assert len(bot.call("sendMessage", chat_id=CHAT, text="x", reply_markup=keyboard(*rows))["reply_markup"]["inline_keyboard"]) == 12
    assert bot.call("sendMessage", chat_id=CHAT, text="x", reply_markup={"keyboard": [["other"]]}).keys().isdisjoint({"reply_markup"})


def test_an_answer_quotes_the_message_it_answers(bot, engine):
    asked = engine.people.say("why?", NOW)
    sent = bot.call("sendMessage", chat_id=CHAT, text="because", reply_parameters={"message_id": asked.message_id})
    assert sent["reply_to_message"]["text"] == "why?"
    lenient = bot.call("sendMessage", chat_id=CHAT, text="x", reply_parameters={"message_id": 1, "allow_sending_without_reply": True})
    assert "reply_to_message" not in lenient


def test_an_edit_replaces_text_and_keyboard_and_says_when(bot):
    sent = bot.call("sendMessage", chat_id=CHAT, text="one", reply_markup=keyboard([("A", "a")]))
    where = {"chat_id": CHAT, "message_id": sent["message_id"]}
    edited = bot.call("editMessageText", **where, text="<b>two</b>", parse_mode="HTML")
    assert (edited["text"], edited["edit_date"], edited.get("reply_markup")) == ("two", NOW // 1000, None)
    assert edited["entities"] == [{"type": "bold", "offset": 0, "length": 3}]
    marked = bot.call("editMessageReplyMarkup", **where, reply_markup=keyboard([("B", "b")]))
    assert (marked["text"], marked["reply_markup"]) == ("two", keyboard([("B", "b")]))


def test_edits_that_telegram_would_refuse_are_refused_in_its_words(bot, engine):
    sent = bot.call("sendMessage", chat_id=CHAT, text="one")
    theirs = engine.people.say("mine", NOW)
    where = {"chat_id": CHAT, "message_id": sent["message_id"]}
    unchanged = (
        "400 Bad Request: message is not modified: specified new message content and reply markup are exactly the same"
        " as a current content and reply markup of the message"
    )
    assert bot.refused("editMessageText", **where, text="one") == unchanged
    assert bot.refused("editMessageReplyMarkup", **where) == unchanged
    assert bot.refused("editMessageText", chat_id=CHAT, message_id=5, text="x") == "400 Bad Request: message to edit not found"
    assert bot.refused("editMessageText", chat_id=CHAT, text="x") == "400 Bad Request: message identifier is not specified"
    assert (
        bot.refused("editMessageText", chat_id=CHAT, message_id=theirs.message_id, text="x") == "400 Bad Request: message can't be edited"
    )
    photo = bot.upload("sendPhoto", "photo", "p.png", png(), chat_id=str(CHAT)).json["result"]
    told = bot.refused("editMessageText", chat_id=CHAT, message_id=photo["message_id"], text="x")
    assert told == "400 Bad Request: there is no text in the message to edit"
    assert bot.call("editMessageCaption", chat_id=CHAT, message_id=photo["message_id"], caption="now")["caption"] == "now"


def test_deleted_messages_are_gone(bot, engine):
    sent = bot.call("sendMessage", chat_id=CHAT, text="one")
    where = {"chat_id": CHAT, "message_id": sent["message_id"]}
    assert bot.call("deleteMessage", **where) is True
    assert bot.refused("deleteMessage", **where) == "400 Bad Request: message to delete not found"
    assert bot.refused("editMessageText", **where, text="x") == "400 Bad Request: message to edit not found"
    assert bot.call("deleteMessage", chat_id=CHAT, message_id=engine.people.say("theirs", NOW).message_id) is True
    group = engine.people.gather("The desk", NOW)
    said = engine.people.say("theirs", NOW, chat=group)
    told = bot.refused("deleteMessage", chat_id=group.chat.id, message_id=said.message_id)
    assert told == "400 Bad Request: message can't be deleted for everyone"


def test_a_press_reaches_the_bot_and_is_answered_once(bot, engine):
    sent = bot.call("sendMessage", chat_id=CHAT, text="choose", reply_markup=keyboard([("A", "go:1")]))
    query = engine.people.press(sent["message_id"], "go:1", NOW)
    (update,) = bot.updates(offset=-1)
    assert update["callback_query"].items() >= {"id": query, "data": "go:1", "message": sent}.items()
    assert update["callback_query"]["from"]["id"] == CHAT
    assert bot.call("answerCallbackQuery", callback_query_id=query, text="done", show_alert=True) is True
    old = "400 Bad Request: query is too old and response timeout expired or query ID is invalid"
    assert bot.refused("answerCallbackQuery", callback_query_id=query) == old
    assert bot.refused("answerCallbackQuery", callback_query_id="77") == old
    late = engine.people.press(sent["message_id"], "go:1", NOW)
    bot.now_ms += 16 * 60_000
    assert bot.refused("answerCallbackQuery", callback_query_id=late) == old


def test_a_photo_is_measured_kept_and_sent_again_by_its_identifier(bot):
    told = bot.upload("sendPhoto", "photo", "chart.png", png(30, 20), chat_id=str(CHAT), caption="*P&L*", parse_mode="Markdown")
    message = told.json["result"]
    (size,) = message["photo"]
    assert (size["width"], size["height"], size["file_size"]) == (30, 20, len(png(30, 20)))
    assert (message["caption"], message["caption_entities"][0]["type"]) == ("P&L", "bold")
    again = bot.call("sendPhoto", chat_id=CHAT, photo=size["file_id"])
    assert again["photo"] == message["photo"]
    attached = bot.upload("sendPhoto", "one", "x.png", png(), chat_id=str(CHAT), photo="attach://one")
    assert attached.json["result"]["photo"][0]["width"] == 3


def test_a_document_is_kept_as_it_is_and_downloaded_by_its_path(bot):
    data = bytes(range(256)) * 40 + b"\r\n--X\r\n"
    message = bot.upload("sendDocument", "document", "fills.csv", data, chat_id=str(CHAT)).json["result"]
    assert message["document"].items() >= {"file_name": "fills.csv", "file_size": len(data), "mime_type": "text/plain"}.items()
    found = bot.call("getFile", file_id=message["document"]["file_id"])
    line = bot.line()
    line.ask("GET", f"/file/bot{TOKEN}/{found['file_path']}")
    told = line.answer()
    assert told is not None
    assert told.body == data
    line.ask("GET", f"/file/bot{TOKEN}/documents/other.bin")
    assert (told := line.answer()) is not None
    assert told.status == 404
    line.ask("GET", f"/file/bot123:other/{found['file_path']}")
    assert (told := line.answer()) is not None
    assert told.status == 401


def test_files_that_telegram_would_refuse_are_refused_in_its_words(bot):
    assert bot.refused("sendPhoto", chat_id=CHAT) == "400 Bad Request: there is no photo in the request"
    assert bot.refused("sendDocument", chat_id=CHAT, document="nonsense") == "400 Bad Request: wrong file identifier/HTTP URL specified"
    assert bot.refused("sendPhoto", chat_id=CHAT, photo="https://example.com/x.png") == "400 Bad Request: failed to get HTTP URL content"
    assert bot.refused("getFile", file_id="nonsense") == "400 Bad Request: invalid file_id"
    assert bot.refused("sendPhoto", chat_id=CHAT, caption="x" * 1025) == "400 Bad Request: message caption is too long"

    def why(data):
        return bot.upload("sendPhoto", "photo", "p.png", data, chat_id=str(CHAT)).json["description"]

    assert why(b"") == "Bad Request: file must be non-empty"
    assert why(b"no picture") == "Bad Request: IMAGE_PROCESS_FAILED"
    assert why(png(9999, 2)) == "Bad Request: PHOTO_INVALID_DIMENSIONS"


def test_pictures_of_each_kind_are_measured():
    jpeg = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x11\x08\x00\x10\x00\x20\x03" + bytes(20)
    webp = b"RIFF\x00\x00\x00\x00WEBPVP8X" + bytes(8) + b"\x1f\x00\x00\x0f\x00\x00"
    assert files.picture_size(jpeg) == ("jpg", 32, 16)
    assert files.picture_size(b"GIF89a\x20\x00\x10\x00") == ("gif", 32, 16)
    assert files.picture_size(webp) == ("webp", 32, 16)
    assert files.picture_size(b"\xff\xd8\xff\xe0") == files.picture_size(b"") == (None, 0, 0)


def test_commands_are_kept_by_scope_and_checked(bot):
    listed = [{"command": "status", "description": "How it is"}]
    assert bot.call("setMyCommands", commands=listed) is True
    assert bot.call("getMyCommands") == listed
    chat = {"type": "chat", "chat_id": CHAT}
    assert bot.call("getMyCommands", scope=chat) == []
    bot.call("setMyCommands", commands=[], scope=chat)
    assert bot.call("deleteMyCommands") is True
    assert bot.call("getMyCommands") == []
    for wrong in ("Status", "a b", "", "x" * 33):
        assert bot.refused("setMyCommands", commands=[{"command": wrong, "description": "x"}]) == "400 Bad Request: BOT_COMMAND_INVALID"
    told = bot.refused("setMyCommands", commands=[{"command": "x", "description": ""}])
    assert told == "400 Bad Request: BOT_COMMAND_DESCRIPTION_INVALID"
    assert bot.refused("setMyCommands", commands=listed * 101) == "400 Bad Request: BOT_COMMANDS_TOO_MUCH"
    assert bot.refused("setMyCommands", commands="nonsense") == "400 Bad Request: can't parse commands JSON object"


def test_the_bots_texts_are_kept(bot):
    assert bot.call("setMyDescription", description="Watches markets.") is True
    assert bot.call("getMyDescription") == {"description": "Watches markets."}
    assert bot.refused("setMyShortDescription", short_description="x" * 121).endswith("is too long")


def test_a_chat_is_described_and_its_typing_accepted(bot):
    assert bot.call("getChat", chat_id=CHAT).items() >= {"id": CHAT, "type": "private", "first_name": "You"}.items()
    assert bot.call("sendChatAction", chat_id=CHAT, action="typing") is True
    assert bot.refused("sendChatAction", chat_id=CHAT, action="dancing") == "400 Bad Request: wrong parameter action in request"


def test_a_webhook_is_remembered_and_keeps_polls_out(bot):
    assert bot.refused("setWebhook", url="http://example.com") == "400 Bad Request: bad webhook: An HTTPS URL must be provided for webhook"
    assert bot.call("setWebhook", url="https://example.com/x", allowed_updates=["message"]) is True
    info = bot.call("getWebhookInfo")
    assert (info["url"], info["pending_update_count"], info["allowed_updates"]) == ("https://example.com/x", 1, ["message"])
    told = bot.refused("getUpdates")
    assert told == "409 Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
    assert bot.call("deleteWebhook", drop_pending_updates=True) is True
    assert bot.updates() == []


def test_a_person_who_blocked_the_bot_hears_nothing_until_they_write(bot, engine):
    engine.people.block(NOW)
    assert bot.refused("sendMessage", chat_id=CHAT, text="x") == "403 Forbidden: bot was blocked by the user"
    engine.people.say("hello again", NOW)
    assert bot.call("sendMessage", chat_id=CHAT, text="x")
    group = engine.people.gather("The desk", NOW)
    engine.people.block(NOW, chat=group)
    assert bot.refused("sendMessage", chat_id=group.chat.id, text="x") == "403 Forbidden: bot was kicked from the group chat"


def test_who_never_wrote_cannot_be_written_to(bot, engine):
    silent = engine.people.chat_of("Silent", NOW)
    assert bot.refused("sendMessage", chat_id=silent.chat.id, text="x") == "400 Bad Request: chat not found"


def test_groups_and_channels_make_their_own_updates(bot, engine):
    group = engine.people.gather("The desk", NOW, type_="supergroup")
    channel = engine.people.gather("News", NOW, type_="channel", username="arbiter_news")
    engine.people.say("/status@arbiter_sandbox_bot", NOW, by="Ann", chat=group)
    engine.people.say("post", NOW, chat=channel)
    _, in_group, in_channel = bot.updates()
    assert in_group["message"]["chat"] == {"id": group.chat.id, "type": "supergroup", "title": "The desk"}
    assert in_group["message"]["from"]["first_name"] == "Ann"
    assert in_group["message"]["entities"] == [{"type": "bot_command", "offset": 0, "length": 27}]
    assert "from" not in in_channel["channel_post"]
    assert bot.call("sendMessage", chat_id="@arbiter_news", text="x")["sender_chat"]["id"] == channel.chat.id


def test_people_edit_what_they_wrote_and_press_what_is_there(bot, engine):
    said = engine.people.say("/stauts", NOW)
    engine.people.edit(said.message_id, "/status", NOW)
    assert bot.updates(offset=-1)[0]["edited_message"]["text"] == "/status"
    sent = bot.call("sendMessage", chat_id=CHAT, text="x", reply_markup=keyboard([("A", "a")]))
    for act in (
        lambda: engine.people.edit(sent["message_id"], "x", NOW),
        lambda: engine.people.edit(5, "x", NOW),
        lambda: engine.people.press(sent["message_id"], "b", NOW),
        lambda: engine.people.press(5, "a", NOW),
        lambda: engine.people.say(" ", NOW),
        lambda: engine.people.say("x" * 4097, NOW),
        lambda: engine.people.say("x", NOW, by=""),
    ):
        with pytest.raises(Exception, match="Bad Request"):
            act()


def test_a_person_has_the_same_identifier_after_a_restart():
    assert person("You") == person("You")
    assert len({person(name).id for name in ("You", "Ann", "Bob")}) == 3


# -- 429 --


def test_too_many_messages_in_one_chat_are_told_when_to_come_back():
    engine = TelegramEngine(TOKEN, limits=SendLimits(per_chat=1, chat_burst=3))
    bot = BotClient(engine)
    for name in ("You", "Ann"):
        engine.people.say("x", NOW, by=name)
    for _ in range(3):
        bot.call("sendMessage", chat_id=CHAT, text="x")
    told = bot.told("sendMessage", chat_id=CHAT, text="x")
    assert told.status == 429
    assert told.json == {
        "ok": False,
        "error_code": 429,
        "description": "Too Many Requests: retry after 1",
        "parameters": {"retry_after": 1},
    }
    assert told.headers["retry-after"] == "1"
    assert bot.call("sendMessage", chat_id=person("Ann").id, text="others are not held up")
    bot.now_ms += 999
    assert bot.refused("sendMessage", chat_id=CHAT, text="x").startswith("429")
    bot.now_ms += 1
    assert bot.call("sendMessage", chat_id=CHAT, text="x")
    assert bot.refused("sendMessage", chat_id=CHAT, text="x").startswith("429")


def test_too_many_messages_in_all_are_refused_and_edits_count_among_them():
    engine = TelegramEngine(TOKEN, limits=SendLimits(per_chat=100, chat_burst=100, in_all=2, burst_in_all=4))
    bot = BotClient(engine)
    engine.people.say("x", NOW)
    sent = [bot.call("sendMessage", chat_id=CHAT, text="x") for _ in range(3)]
    bot.call("editMessageText", chat_id=CHAT, message_id=sent[0]["message_id"], text="y")
    assert bot.refused("editMessageText", chat_id=CHAT, message_id=sent[1]["message_id"], text="y").startswith("429")
    assert bot.refused("sendMessage", chat_id=CHAT, text="x") == "429 Too Many Requests: retry after 1"
    bot.now_ms += 500
    assert bot.call("sendMessage", chat_id=CHAT, text="x")


def test_a_fault_fails_so_many_calls_and_does_nothing(bot, engine):
    engine.fault_next(2)
    assert [bot.told("sendMessage", chat_id=CHAT, text="x").status for _ in range(3)] == [502, 502, 200]
    assert len(engine.people.chat_of("You", NOW).messages) == 2


# -- bad input --

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=5
)
LIKELY = {
    "chat_id": st.just(CHAT) | VALUES,
    "message_id": st.just(1) | VALUES,
    "text": st.just("x") | VALUES,
    "parse_mode": st.sampled_from(["HTML", "Markdown", "MarkdownV2", "none"]) | VALUES,
    "reply_markup": VALUES
    | st.fixed_dictionaries({"inline_keyboard": VALUES | st.lists(st.lists(st.dictionaries(st.sampled_from(["text", "url"]), VALUES)))}),
    "entities": VALUES
    | st.lists(st.fixed_dictionaries({"type": st.text(max_size=4), "offset": st.integers(), "length": st.integers()}), max_size=3),
    "scope": VALUES,
    **dict.fromkeys(("reply_parameters", "commands", "allowed_updates", "offset", "limit", "timeout", "photo", "document"), VALUES),
    **dict.fromkeys(("callback_query_id", "file_id", "url", "action", "caption", "description", "message_thread_id"), VALUES),
}


@settings(deadline=None)
@given(method=st.sampled_from([*METHODS, "getupdates"]), params=st.fixed_dictionaries({}, optional=LIKELY))
def test_no_parameters_break_a_method(method, params):
    engine = TelegramEngine(TOKEN, limits=UNLIMITED)
    engine.people.say("x", NOW)
    bot = BotClient(engine)
    line = bot.line()
    line.ask("POST", f"/bot{TOKEN}/{method}", {"content-type": "application/json"}, json.dumps(params).encode())
    told = line.answer()
    if told is not None:
        assert told.status in (200, 400, 403, 404, 409)
        assert told.json["ok"] is (told.status == 200)


@settings(deadline=None)
@given(
    body=st.binary(max_size=200),
    kind=st.sampled_from(["application/json", "multipart/form-data; boundary=B", "application/x-www-form-urlencoded", "x"]),
)
def test_no_body_breaks_the_reading_of_parameters(body, kind):
    engine = TelegramEngine(TOKEN, limits=UNLIMITED)
    engine.people.say("x", NOW)
    if kind.startswith("multipart"):
        body = b"--B\r\n" + body + b"\r\n\r\nx\r\n--B--"
    told = BotClient(engine).raw("POST", f"sendMessage?chat_id={CHAT}", {"content-type": kind}, body)
    assert told.status in (200, 400, 413)


def test_half_a_surrogate_does_not_break_an_answer(bot):
    told = bot.raw("POST", "sendMessage", {"content-type": "application/json"}, b'{"chat_id": %d, "text": "a\\ud83cb"}' % CHAT)
    assert told.status in (200, 400)


def test_a_file_keeps_its_name_in_any_spelling(bot):
    names = ['filename="a b.csv"', "filename*=utf-8''%C3%A9.csv", 'filename="é.csv"', 'filename="../../x"', 'filename=""']
    for spelled, name in zip(names, ["a b.csv", "é.csv", "é.csv", ".._.._x", "file"], strict=True):
        head = f'--B\r\nContent-Disposition: form-data; name="document"; {spelled}\r\n\r\n'.encode()
        told = bot.raw(
            "POST", f"sendDocument?chat_id={CHAT}", {"content-type": "multipart/form-data; boundary=B"}, head + b"x\r\n--B--\r\n"
        )
        assert told.json["result"]["document"]["file_name"] == name


# -- bounds --


def test_memory_is_bounded_by_messages_chats_and_files(bot, engine, monkeypatch):
    monkeypatch.setattr(chats, "MOST_MESSAGES", 5)
    monkeypatch.setattr(chats, "MOST_CHATS", 3)
    monkeypatch.setattr(files, "MOST_BYTES", 250)
    for _ in range(9):
        engine.people.say("x", NOW)
    assert len(engine.people.chat_of("You", NOW).messages) == 5
    for number in range(9):
        engine.people.say("x", NOW, by=f"person {number}")
    assert len(engine.state.chats.all()) == 3
    documents = [bot.upload("sendDocument", "document", "x", bytes(100), chat_id=str(person("person 8").id)).json for _ in range(4)]
    kept = [engine.state.files.get(each["result"]["document"]["file_id"]) is not None for each in documents]
    assert kept == [False, False, True, True]
