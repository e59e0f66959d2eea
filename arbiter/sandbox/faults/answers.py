"""Faults on answers to plain requests: refused, late, of the wrong kind, broken off."""

from collections.abc import Callable

import msgspec

from arbiter.sandbox.faults.fault import HUGE, Fault
from arbiter.sandbox.faults.mangle import mangled
from arbiter.sandbox.http import Deferred, Request, Response

FOR_EVER = 2**62
GARBAGE = b"\x00\x01\xff\xfe{]<%%%"
HTML = b"<!DOCTYPE html>\n<html><head><title>Just a moment...</title></head><body><h1>Checking your browser</h1></body></html>\n"
_REFUSALS = {"answer-429": 429, "answer-503": 503}


class _Active(msgspec.Struct):
    fault: Fault
    left: int
    until_ms: int


class Answers:
    """`refuse`: the venue's own body and headers for (status, seconds to wait; 0: not told)."""

    def __init__(self, refuse: Callable[[int, int], Response]) -> None:
        self._refuse = refuse
        self._active: list[_Active] = []
        self._owed: list[tuple[int, Deferred, Response]] = []

    def begin(self, fault: Fault, now_ms: int) -> None:
        """Let it befall the next answers."""
        until_ms = now_ms + fault.for_ms if fault.for_ms else FOR_EVER
        self._active.append(_Active(fault, FOR_EVER if fault.for_ms else fault.times, until_ms))

    def tick(self, now_ms: int) -> None:
        """Give the slow answers that are due."""
        due = [each for each in self._owed if each[0] <= now_ms]
        self._owed = [each for each in self._owed if each[0] > now_ms and each[1].open]
        for _, deferred, response in due:
            deferred.complete(response)

    def refused_upgrade(self, request: Request, now_ms: int) -> Response | None:
        """A refusal that befalls this upgrade."""
        fault = self._take(request, now_ms, _REFUSALS)
        return self._refuse(_REFUSALS[fault.what], fault.retry_after_s) if fault else None

    def answer(self, request: Request, now_ms: int, given: Callable[[], Response]) -> Response | Deferred:
        """The venue's answer, or what the first fault makes of it. A slow answer says what was true when it was asked."""
        fault = self._take(request, now_ms, None)
        if fault is None:
            return given()
        if fault.what in _REFUSALS:
            return self._refuse(_REFUSALS[fault.what], fault.retry_after_s)
        if fault.what == "answer-slow":
            deferred = Deferred()
            self._owed.append((now_ms + fault.delay_ms, deferred, given()))
            return deferred
        return _changed(fault, given)

    def _take(self, request: Request, now_ms: int, only: dict[str, int] | None) -> Fault | None:
        self._active = [each for each in self._active if each.left and now_ms < each.until_ms]
        for each in self._active:
            if request.path.startswith(each.fault.path) and (only is None or each.fault.what in only):
                each.left -= 1
                return each.fault
        return None


def _changed(fault: Fault, given: Callable[[], Response]) -> Response:
    match fault.what:
        case "answer-html":
            return Response(fault.status or 200, HTML, "text/html; charset=utf-8")
        case "answer-garbage":
            return Response(200, GARBAGE)
        case "answer-huge":
            return Response(200, b'{"filler":"' + b"x" * (fault.size or HUGE) + b'"}')
    response = given()
    if fault.what == "answer-half":
        return msgspec.structs.replace(response, half=True)
    return msgspec.structs.replace(response, body=mangled(fault.what.removeprefix("answer-"), response.body))
