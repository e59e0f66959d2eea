"""The Bot API as one app: requests of the bot in, answers out, and at `/` the page on which people chat with it. No I/O, no clock."""

import hmac
import re
from collections import deque
from urllib.parse import unquote

from arbiter.sandbox.http import Deferred, Request, Response, Session, Socket, json_response
from arbiter.sandbox.telegram.chat_page import ChatPage
from arbiter.sandbox.telegram.limits import SendLimits
from arbiter.sandbox.telegram.methods import METHODS
from arbiter.sandbox.telegram.params import read_params
from arbiter.sandbox.telegram.people import People
from arbiter.sandbox.telegram.refusal import Refusal
from arbiter.sandbox.telegram.state import State
from arbiter.sandbox.telegram.types import User

TOKEN = re.compile(r"(\d{1,15}):[A-Za-z0-9_-]{3,100}")


class TelegramEngine:
    """One bot and its people. `token`: as BotFather gives it, `123456:letters`. Raises ValueError for another form.

    The shell calls `tick`, which ends polls whose time is over. `people` does what people do.
    """

    def __init__(self, token: str, *, bot_username: str = "arbiter_sandbox_bot", limits: SendLimits | None = None) -> None:
        found = TOKEN.fullmatch(token)
        if found is None:
            raise ValueError("a bot token has the form 123456:letters")
        self._token = token
        self.state = State(User(int(found[1]), True, "Arbiter", bot_username), limits or SendLimits())
        self.people = People(self.state)
        self._faults: deque[Response] = deque()
        self._page = ChatPage(self.state, self.people)

    def tick(self, now_ms: int) -> None:
        """Answer the polls whose patience is over."""
        self.state.updates.tick(now_ms)
        self._page.tick(now_ms)

    def handle(self, request: Request, now_ms: int) -> Response | Deferred:
        """A call of a method or a download, by the token in the path."""
        try:
            path = unquote(request.path)
            if path.startswith("/file/bot"):
                token, _, rest = path.removeprefix("/file/bot").partition("/")
                self._check(token)
                return self._download(rest)
            if path.startswith("/bot"):
                token, _, method = path.removeprefix("/bot").partition("/")
                self._check(token)
                return self._call(method, request, now_ms)
            return self._page.answer(request, now_ms)
        except Refusal as refusal:
            return refusal.response()

    def fault_next(self, times: int = 1, status: int = 502) -> None:
        """The next calls of the bot fail as behind a broken proxy: no JSON, nothing done."""
        self._faults.extend([Response(status, b"<html>Bad Gateway</html>", "text/html")] * times)

    def open_socket(self, request: Request, socket: Socket, now_ms: int) -> Session | Response:
        """There are none."""
        return Refusal(404, "Not Found").response()

    def _check(self, token: str) -> None:
        if not hmac.compare_digest(token.encode("utf-8", "replace"), self._token.encode()):
            raise Refusal(401, "Unauthorized") if TOKEN.fullmatch(token) else Refusal(404, "Not Found")

    def _call(self, method: str, request: Request, now_ms: int) -> Response | Deferred:
        if request.method not in ("GET", "POST"):
            raise Refusal(405, "Method Not Allowed")
        if self._faults:
            return self._faults.popleft()
        params = read_params(request)
        if method.lower() == "getupdates":
            return self.state.updates.fetch(params, now_ms)
        called = METHODS.get(method.lower())
        if called is None:
            raise Refusal(404, "Not Found: method not found")
        return json_response({"ok": True, "result": called(self.state, params, now_ms)})

    def _download(self, path: str) -> Response:
        kept = self.state.files.at_path(path)
        if kept is None:
            raise Refusal(404, "Not Found")
        return Response(200, kept.data, "application/octet-stream")
