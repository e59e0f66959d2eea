"""Methods that read or set something beside the messages: the bot itself, its menu, webhook, files, chats, answers to presses."""

import re
from collections.abc import Callable

import msgspec

from arbiter.sandbox.telegram.chats import TYPING_MS, Notice
from arbiter.sandbox.telegram.params import Params
from arbiter.sandbox.telegram.refusal import bad_request, conflict
from arbiter.sandbox.telegram.state import State
from arbiter.sandbox.telegram.types import BotCommand

MOST_COMMANDS = 100
MOST_SCOPES = 100
COMMAND = re.compile(r"[a-z0-9_]{1,32}")
LARGEST_COMMAND_TEXT = 256
LARGEST_ANSWER = 200
LARGEST_ADDRESS = 2048
ACTIONS = frozenset(
    {
        *("typing", "upload_photo", "record_video", "upload_video", "record_voice", "upload_voice", "upload_document"),
        *("choose_sticker", "find_location", "record_video_note", "upload_video_note"),
    }
)
TEXTS = {"description": 512, "short_description": 120, "name": 64}
OLD_QUERY = "query is too old and response timeout expired or query ID is invalid"


def get_me(state: State, params: Params, now_ms: int) -> dict[str, object]:
    """getMe."""
    abilities = {"can_join_groups": True, "can_read_all_group_messages": False, "supports_inline_queries": False}
    return {**msgspec.to_builtins(state.bot), **abilities, "can_connect_to_business": False, "has_main_web_app": False}


def answer_callback(state: State, params: Params, now_ms: int) -> bool:
    """answerCallbackQuery: once a press."""
    text = params.text("text")
    if len(text) > LARGEST_ANSWER:
        raise bad_request("MESSAGE_TOO_LONG")
    query = params.text("callback_query_id")
    press = state.answered(query, now_ms)
    if press is None:
        raise bad_request(OLD_QUERY)
    if log := state.chats.get(press.chat_id):
        log.notify(Notice(query, text, params.flag("show_alert"), params.text("url")[:LARGEST_ADDRESS]))
        state.changed(log)
    return True


def send_chat_action(state: State, params: Params, now_ms: int) -> bool:
    """sendChatAction: a person sees it for five seconds."""
    log = state.chats.writable(params.text("chat_id"))
    if params.text("action") not in ACTIONS:
        raise bad_request("wrong parameter action in request")
    log.typing_until = now_ms + TYPING_MS
    log.touch()
    state.changed(log)
    return True


def get_chat(state: State, params: Params, now_ms: int) -> dict[str, object]:
    """getChat."""
    chat: dict[str, object] = msgspec.to_builtins(state.chats.named(params.text("chat_id")).chat)
    return {**chat, "accent_color_id": 0, "max_reaction_count": 11}


# -- files --


def get_file(state: State, params: Params, now_ms: int) -> dict[str, object]:
    """getFile: where to download it."""
    kept = state.files.get(params.text("file_id"))
    if kept is None:
        raise bad_request("invalid file_id" if params.has("file_id") else "file_id not specified")
    return {"file_id": kept.file_id, "file_unique_id": kept.unique_id, "file_size": len(kept.data), "file_path": kept.path}


# -- the menu and the bot's texts --


def set_commands(state: State, params: Params, now_ms: int) -> bool:
    """setMyCommands."""
    listed = params.structure("commands", "commands")
    if not isinstance(listed, list):
        raise bad_request("can't parse commands list JSON object")
    if len(listed) > MOST_COMMANDS:
        raise bad_request("BOT_COMMANDS_TOO_MUCH")
    key = _scope(params)
    if key not in state.commands and len(state.commands) >= MOST_SCOPES:
        raise bad_request("BOT_COMMANDS_TOO_MUCH")
    state.commands[key] = tuple(_command(each) for each in listed)
    state.changed_everywhere()
    return True


def get_commands(state: State, params: Params, now_ms: int) -> tuple[BotCommand, ...]:
    """getMyCommands."""
    return state.commands.get(_scope(params), ())


def delete_commands(state: State, params: Params, now_ms: int) -> bool:
    """deleteMyCommands."""
    state.commands.pop(_scope(params), None)
    state.changed_everywhere()
    return True


def _scope(params: Params) -> str:
    """Commands are kept by scope and language; "" is the default."""
    scope = params.structure("scope", "scope")
    kind = scope.get("type") if isinstance(scope, dict) else "default"
    if not isinstance(kind, str):
        raise bad_request("can't parse BotCommandScope: scope type is invalid")
    chat = scope.get("chat_id", "") if isinstance(scope, dict) else ""
    key = f"{kind}:{chat}:{params.text('language_code')}"
    return "" if key == "default::" else key[:100]


def _command(given: object) -> BotCommand:
    try:
        command = msgspec.convert(given, BotCommand)
    except msgspec.ValidationError as error:
        raise bad_request(f"can't parse BotCommand: {error}") from None
    name, text = command.command.removeprefix("/"), command.description
    if not COMMAND.fullmatch(name):
        raise bad_request("BOT_COMMAND_INVALID")
    if not 0 < len(text) <= LARGEST_COMMAND_TEXT:
        raise bad_request("BOT_COMMAND_DESCRIPTION_INVALID")
    return BotCommand(name, text)


def set_text(field: str) -> Callable[[State, Params, int], object]:
    """setMyDescription, setMyShortDescription, setMyName."""

    def method(state: State, params: Params, now_ms: int) -> bool:
        text = params.text(field)
        if len(text) > TEXTS[field]:
            raise bad_request(f"{field.replace('_', ' ')} is too long")
        state.texts[field] = text
        return True

    return method


def get_text(field: str) -> Callable[[State, Params, int], object]:
    """getMyDescription, getMyShortDescription, getMyName."""

    def method(state: State, params: Params, now_ms: int) -> dict[str, str]:
        return {field: state.texts.get(field, state.bot.first_name if field == "name" else "")}

    return method


# -- the webhook: remembered, never called --


def set_webhook(state: State, params: Params, now_ms: int) -> bool:
    """setWebhook: ends a poll; the sandbox opens no connections, so nothing is delivered while it is set."""
    url = params.text("url")
    if url and (not url.startswith("https://") or len(url) > LARGEST_ADDRESS):
        raise bad_request("bad webhook: An HTTPS URL must be provided for webhook")
    state.updates.allow(params)
    state.updates.webhook = url
    if url:
        state.updates.end_poll(conflict("terminated by setWebhook request"))
    if params.flag("drop_pending_updates"):
        state.updates.forget_all()
    return True


def delete_webhook(state: State, params: Params, now_ms: int) -> bool:
    """deleteWebhook."""
    state.updates.webhook = ""
    if params.flag("drop_pending_updates"):
        state.updates.forget_all()
    return True


def webhook_info(state: State, params: Params, now_ms: int) -> dict[str, object]:
    """getWebhookInfo."""
    told: dict[str, object] = {
        "url": state.updates.webhook,
        "has_custom_certificate": False,
        "pending_update_count": len(state.updates),
    }
    return told | ({"allowed_updates": state.updates.allowed} if state.updates.allowed else {})
