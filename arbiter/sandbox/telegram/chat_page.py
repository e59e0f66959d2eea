"""The page at `/` on which people chat with the bot, and its endpoints below `/chat/`. What one person sees is their private chat."""

from collections.abc import Callable
from functools import cache
from importlib.resources import files

import msgspec

from arbiter.sandbox.http import Deferred, Request, Response, json_response
from arbiter.sandbox.telegram.chats import ChatLog
from arbiter.sandbox.telegram.files import PICTURES
from arbiter.sandbox.telegram.guard import SAFE_HEADERS, check
from arbiter.sandbox.telegram.people import YOU, People
from arbiter.sandbox.telegram.refusal import Refusal, bad_request
from arbiter.sandbox.telegram.state import State

PAGE_FILES = {"/": "index.html", "/index.html": "index.html", "/chat.css": "chat.css", "/chat.js": "chat.js", "/icon.svg": "icon.svg"}
TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
LARGEST_ACT = 64 * 1024
LONGEST_WAIT_SECONDS = 25
MOST_WATCHERS = 20
"""Open pages of one person. One more ends the oldest one's wait."""


class Act(msgspec.Struct, forbid_unknown_fields=True):
    """What a person does on the page."""

    by: str = YOU
    text: str = ""
    message_id: int = 0
    data: str = ""


class Watch(msgspec.Struct, frozen=True):
    """A page that waits for a change after a revision."""

    answer: Deferred
    after: int
    until_ms: int


class ChatPage:
    """The page's side of the app."""

    def __init__(self, state: State, people: People) -> None:
        self._state = state
        self._people = people
        self._watches: dict[int, list[Watch]] = {}
        self._now_ms = 0
        self._acts: dict[str, Callable[[Act, int], object]] = {
            "send": lambda act, now: self._people.say(act.text, now, by=act.by),
            "press": lambda act, now: {"query": self._people.press(act.message_id, act.data, now, by=act.by)},
            "edit": lambda act, now: self._people.edit(act.message_id, act.text, now, by=act.by),
            "block": lambda act, now: self._people.block(now, by=act.by),
        }
        state.changed = self._changed

    def answer(self, request: Request, now_ms: int) -> Response | Deferred:
        """Answer a browser. Raises Refusal."""
        check(request)
        if request.method == "POST":
            return self._act(request, now_ms)
        if name := PAGE_FILES.get(request.path):
            return Response(200, page_file(name), TYPES[name.rpartition(".")[2]], SAFE_HEADERS)
        if request.path == "/chat/updates":
            return self._updates(request, now_ms)
        if request.path.startswith("/chat/file/"):
            return self._file(request.path.removeprefix("/chat/file/"))
        raise Refusal(404, "Not Found")

    def tick(self, now_ms: int) -> None:
        """Let go of the pages that waited long enough."""
        self._now_ms = now_ms
        for chat_id, watches in list(self._watches.items()):
            log = self._state.chats.get(chat_id)
            for watch in watches:
                if log is None or now_ms >= watch.until_ms:
                    watch.answer.complete(self._news(log, watch.after, now_ms) if log else Refusal(404, "Not Found").response())
            self._keep(chat_id, [watch for watch in watches if watch.answer.open])

    def _act(self, request: Request, now_ms: int) -> Response:
        name = request.path.removeprefix("/chat/")
        act = self._acts.get(name)
        if act is None:
            raise Refusal(404, "Not Found")
        if len(request.body) > LARGEST_ACT:
            raise Refusal(413, "Request Entity Too Large")
        try:
            asked = msgspec.json.decode(request.body, type=Act)
        except (msgspec.DecodeError, RecursionError) as error:
            raise bad_request(str(error)) from None
        return json_response({"ok": True, "result": act(asked, now_ms)}, headers=SAFE_HEADERS)

    def _updates(self, request: Request, now_ms: int) -> Response | Deferred:
        """What changed after a revision; waits for something, unless `wait` says 0 or the revision is not of this chat."""
        after, wait = request.number("after", 0), request.number("wait", LONGEST_WAIT_SECONDS)
        if after is None or wait is None:
            raise bad_request("after and wait are numbers")
        log = self._people.chat_of(request.first("as", YOU), now_ms)
        if not wait or after != log.revision:
            return self._news(log, after, now_ms)
        watch = Watch(Deferred(), after, now_ms + 1000 * min(wait, LONGEST_WAIT_SECONDS))
        watches = [each for each in self._watches.get(log.chat.id, []) if each.answer.open]
        for oldest in watches[: max(0, len(watches) + 1 - MOST_WATCHERS)]:
            oldest.answer.complete(self._news(log, oldest.after, now_ms))
        self._keep(log.chat.id, [*(each for each in watches if each.answer.open), watch])
        return watch.answer

    def _changed(self, log: ChatLog) -> None:
        for watch in self._watches.pop(log.chat.id, []):
            watch.answer.complete(self._news(log, watch.after, self._now_ms))

    def _keep(self, chat_id: int, watches: list[Watch]) -> None:
        if watches:
            self._watches[chat_id] = watches
        else:
            self._watches.pop(chat_id, None)

    def _news(self, log: ChatLog, after: int, now_ms: int) -> Response:
        reset = not log.first_revision <= after <= log.revision
        since = 0 if reset else after
        told = {
            "revision": log.revision,
            "reset": reset,
            "bot": self._state.bot,
            "started": log.started,
            "blocked": log.blocked,
            "typing_ms": max(0, log.typing_until - now_ms) if now_ms else 0,
            "commands": self._state.commands.get("", ()),
            "messages": log.changed_since(since),
            "gone": log.gone_since(since),
            "notices": [] if reset else log.notices_since(since),
        }
        return json_response(told, headers=SAFE_HEADERS)

    def _file(self, file_id: str) -> Response:
        """Pictures are shown; anything else is only saved."""
        kept = self._state.files.get(file_id)
        if kept is None:
            raise Refusal(404, "Not Found")
        if kept.picture:
            return Response(200, kept.data, PICTURES[kept.picture], SAFE_HEADERS)
        name = "".join(char if char.isascii() and (char.isalnum() or char in "-_. ") else "_" for char in kept.name)
        return Response(
            200, kept.data, "application/octet-stream", (*SAFE_HEADERS, ("content-disposition", f'attachment; filename="{name}"'))
        )


@cache
def page_file(name: str) -> bytes:
    """One file of the page, read once."""
    return files("arbiter.sandbox.telegram").joinpath("page", name).read_bytes()
