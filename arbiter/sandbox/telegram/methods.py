"""The table of methods. Names are found whatever their case, as with Telegram."""

from collections.abc import Callable

from arbiter.sandbox.telegram import sending, settings
from arbiter.sandbox.telegram.params import Params
from arbiter.sandbox.telegram.state import State

Method = Callable[[State, Params, int], object]
"""Given the state, the parameters and the time (Unix ms), the `result`. Raises Refusal."""

METHODS: dict[str, Method] = {
    "getme": settings.get_me,
    "sendmessage": sending.send_message,
    "sendphoto": sending.send_photo,
    "senddocument": sending.send_document,
    "editmessagetext": sending.edit_text,
    "editmessagecaption": sending.edit_caption,
    "editmessagereplymarkup": sending.edit_markup,
    "deletemessage": sending.delete_message,
    "answercallbackquery": settings.answer_callback,
    "sendchataction": settings.send_chat_action,
    "getchat": settings.get_chat,
    "getfile": settings.get_file,
    "setmycommands": settings.set_commands,
    "getmycommands": settings.get_commands,
    "deletemycommands": settings.delete_commands,
    "setmydescription": settings.set_text("description"),
    "getmydescription": settings.get_text("description"),
    "setmyshortdescription": settings.set_text("short_description"),
    "getmyshortdescription": settings.get_text("short_description"),
    "setmyname": settings.set_text("name"),
    "getmyname": settings.get_text("name"),
    "setwebhook": settings.set_webhook,
    "deletewebhook": settings.delete_webhook,
    "getwebhookinfo": settings.webhook_info,
}
