"""Headless Chromium for the tests, driven over the DevTools protocol by websockets' own protocol on a trio stream.

    async with Browser.launch(tmp_path, width=390, height=844) as browser:
        await browser.goto("http://127.0.0.1:8081/")
        await browser.type("#text", "/start")
        await browser.wait_for("document.querySelectorAll('.message').length == 1")

Where there is no Chromium, `needs_browser` skips a test and says so.
"""

import base64
import json
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine; .ci/packages installs it")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
    *("--remote-debugging-port=0", "--remote-allow-origins=*"),
)
START_SECONDS = 40
STEP_SECONDS = 20
CHUNK = 1 << 18


class PageError(AssertionError):
    """The page's script raised, or something that was waited for did not come."""


class Browser:
    """One page. Every step waits until the browser has done it, for at most `STEP_SECONDS`."""

    def __init__(self, stream: trio.SocketStream, protocol: ClientProtocol) -> None:
        self._stream = stream
        self._protocol = protocol
        self._last_id = 0
        self._answers: dict[int, dict[str, Any]] = {}
        self._parts: list[bytes] = []
        self._session = ""
        self.errors: list[str] = []
        """What the page's scripts raised or logged as an error, and what its policy refused."""

    @classmethod
    @asynccontextmanager
    async def launch(cls, folder: Path, *, width: int = 390, height: int = 844, dark: bool = False) -> "AsyncIterator[Browser]":
        """Start Chromium with a new profile below `folder`; it ends with the block."""
        assert CHROMIUM is not None
        profile = folder / "chromium"
        profile.mkdir()
        command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}", "about:blank"]
        # its own process group: the browser is many processes
        process = await trio.lowlevel.open_process(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        )
        try:
            assert process.stderr is not None
            with trio.fail_after(START_SECONDS):
                address = await _address(process.stderr)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_drain, process.stderr)
                browser = await cls._connect(address)
                async with browser._stream:
                    await browser._attach(width, height, dark)
                    yield browser
                nursery.cancel_scope.cancel()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with trio.CancelScope(shield=True):
                await process.wait()

    # -- what a test does --

    async def goto(self, url: str) -> None:
        """Open an address and wait until it is loaded."""
        told = await self._call("Page.navigate", {"url": url})
        if "errorText" in told:
            raise PageError(f"{url}: {told['errorText']}")
        await self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is awaited."""
        parameters = {"expression": expression, "awaitPromise": True, "returnByValue": True, "userGesture": True}
        told = await self._call("Runtime.evaluate", parameters)
        if "exceptionDetails" in told:
            raise PageError(json.dumps(told["exceptionDetails"].get("exception", told["exceptionDetails"]))[:2000])
        return told["result"].get("value")

    async def wait_for(self, condition: str) -> Any:
        """Until a JavaScript expression is true; the page itself looks again and again."""
        looked = (
            f"new Promise((done) => {{ const look = () => {{ const v = {condition}; v ? done(v) : setTimeout(look, 15); }}; look(); }})"
        )
        try:
            return await self.evaluate(looked)
        except trio.TooSlowError:
            shown = await self.evaluate("document.body.innerText")
            raise PageError(f"{condition} did not come true; errors {self.errors}; the page shows:\n{shown}") from None

    async def wait_for_text(self, text: str, selector: str = "body") -> None:
        """Until a text is shown somewhere in the elements of a selector."""
        wanted, where = json.dumps(text), json.dumps(selector)
        await self.wait_for(f"[...document.querySelectorAll({where})].some((each) => each.innerText.includes({wanted}))")

    async def texts(self, selector: str) -> list[str]:
        """The shown text of each element of a selector."""
        found: list[str] = await self.evaluate(f"[...document.querySelectorAll({json.dumps(selector)})].map((each) => each.innerText)")
        return found

    async def click(self, selector: str, text: str | None = None) -> None:
        """Press the last element of a selector, with a real mouse; with `text`, the last one that shows just that."""
        where, wanted = json.dumps(selector), json.dumps(text)
        fitting = f"[...document.querySelectorAll({where})].filter((e) => {wanted} === null || e.innerText.trim() === {wanted}).at(-1)"
        await self.wait_for(f"{fitting} !== undefined")
        box = await self.evaluate(
            f"(() => {{ const e = {fitting}; e.scrollIntoView({{block: 'nearest'}}); const b = e.getBoundingClientRect();"
            " return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            await self._call("Input.dispatchMouseEvent", {"type": kind, "x": box[0], "y": box[1], "button": "left", "clickCount": 1})

    async def type(self, selector: str, text: str, *, enter: bool = True) -> None:
        """Write into a field, and press Enter."""
        await self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
        await self._call("Input.insertText", {"text": text})
        if enter:
            key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
            await self._call("Input.dispatchKeyEvent", {"type": "keyDown", **key})
            await self._call("Input.dispatchKeyEvent", {"type": "keyUp", **key})

    async def set_dark(self, dark: bool) -> None:
        """What the page sees as the person's preferred colours."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self._call("Emulation.setEmulatedMedia", {"features": features})

    async def screenshot(self, path: Path) -> Path:
        """A picture of what is shown, as PNG."""
        told = await self._call("Page.captureScreenshot", {"format": "png"})
        await trio.Path(path).write_bytes(base64.b64decode(told["data"]))
        return path

    # -- the protocol --

    @classmethod
    async def _connect(cls, address: str) -> "Browser":
        uri = parse_uri(address)
        stream = await trio.open_tcp_stream(uri.host, uri.port)
        protocol = ClientProtocol(uri, max_size=None)
        protocol.send_request(protocol.connect())
        browser = cls(stream, protocol)
        await browser._flush()
        while protocol.state is State.CONNECTING:
            await browser._receive()
        return browser

    async def _attach(self, width: int, height: int, dark: bool) -> None:
        targets = (await self._call("Target.getTargets"))["targetInfos"]
        page = next(each for each in targets if each["type"] == "page")
        attached = await self._call("Target.attachToTarget", {"targetId": page["targetId"], "flatten": True})
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            await self._call(f"{domain}.enable")
        metrics = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": False}
        await self._call("Emulation.setDeviceMetricsOverride", metrics)
        await self.set_dark(dark)

    async def _call(self, method: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
        self._last_id += 1
        number = self._last_id
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters or {}}
        if self._session:
            message["sessionId"] = self._session
        self._protocol.send_text(json.dumps(message).encode())
        await self._flush()
        with trio.fail_after(STEP_SECONDS):
            while number not in self._answers:
                await self._receive()
        answer = self._answers.pop(number)
        if "error" in answer:
            raise PageError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    async def _flush(self) -> None:
        for piece in self._protocol.data_to_send():
            if piece:
                await self._stream.send_all(piece)

    async def _receive(self) -> None:
        data = await self._stream.receive_some(CHUNK)
        if not data:
            raise PageError("the browser is gone")
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.CONT):
                self._parts.append(bytes(event.data))
                if event.fin:
                    self._take(json.loads(b"".join(self._parts)))
                    self._parts.clear()
        await self._flush()

    def _take(self, message: dict[str, Any]) -> None:
        told = message.get("params", {})
        if "id" in message:
            self._answers[message["id"]] = message
        elif message["method"] == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(told["exceptionDetails"])[:2000])
        elif message["method"] == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.errors.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")


async def _address(stderr: trio.abc.ReceiveStream) -> str:
    """The DevTools address, which Chromium writes once it listens."""
    seen = b""
    while b"DevTools listening on " not in seen or not seen.partition(b"DevTools listening on ")[2].count(b"\n"):
        more = await stderr.receive_some(4096)
        if not more:
            raise PageError(f"chromium ended: {seen.decode(errors='replace')[-2000:]}")
        seen += more
    return seen.partition(b"DevTools listening on ")[2].split(b"\n")[0].decode().strip()


async def _drain(stderr: trio.abc.ReceiveStream) -> None:
    while await stderr.receive_some(4096):
        pass
