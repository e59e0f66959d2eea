"""A trio run in a thread of its own, that other threads call and wait for. Each call is one task there, with its caller's context."""

import contextvars
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, TypeVar

import trio

from arbiter.rpc.client_errors import ArbiterClientError, NotConnected, not_connected
from arbiter.rpc.client_link import CLOSED

T = TypeVar("T")

LEFT = "the client was closed; whether a call under way took effect is unknown"


class Job:
    """One call: `future` gets what came of it."""

    def __init__(self, call: Callable[[], Awaitable[Any]]) -> None:
        self.call = call
        self.future: Future[Any] = Future()
        self.scope = trio.CancelScope()
        self.context = contextvars.copy_context()


class TrioThread:
    """`life` is entered before the first call and left after the last. A caller blocks, so there are never more jobs than callers.

    The thread is a daemon: a script that forgets to close the client still ends.
    """

    def __init__(self, life: Callable[[], AbstractAsyncContextManager[Any]]) -> None:
        self._life = life
        self._thread = threading.Thread(target=self._run, name="arbiter client", daemon=True)
        self._ready: Future[None] = Future()
        self._scope = trio.CancelScope()
        self._token: trio.lowlevel.TrioToken | None = None
        self._nursery: trio.Nursery | None = None
        self._stopped = False
        self._lock = threading.Lock()
        self._waiting: set[Job] | None = set()
        """None once the run is over."""

    def start(self) -> None:
        """Raises what `life` does where it cannot begin."""
        self._thread.start()
        try:
            self._ready.result()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End every call, and wait until the thread has ended."""
        self._stopped = True
        token = self._token
        if token is not None:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(self._scope.cancel)
        self._thread.join()

    def call(self, call: Callable[[], Awaitable[T]]) -> T:
        """What it returns or raises. An interrupt (Ctrl-C) cancels it. Raises NotConnected once the thread was stopped."""
        job = Job(call)
        with self._lock:
            if self._waiting is None or self._token is None:
                raise not_connected(CLOSED)
            self._waiting.add(job)
        try:
            self._soon(self._begin, job)
            result: T = job.future.result()
            return result
        except BaseException:
            self._soon(job.scope.cancel)
            raise
        finally:
            with self._lock:
                if self._waiting is not None:
                    self._waiting.discard(job)

    def soon(self, call: Callable[[], object]) -> None:
        """Have it done there, without waiting. It must not raise. Nothing happens once the thread was stopped."""
        self._soon(call)

    def _soon(self, call: Callable[..., object], *arguments: object) -> None:
        assert self._token is not None
        with suppress(trio.RunFinishedError):  # then every job has been told
            self._token.run_sync_soon(call, *arguments)

    # -- there --

    def _run(self) -> None:
        try:
            trio.run(self._serve)
        except BaseException as error:  # noqa: BLE001 it is told to whoever waits
            if not self._ready.done():
                self._ready.set_exception(error)
        with self._lock:
            left, self._waiting = self._waiting or set(), None
        for job in left:
            if not job.future.done():
                job.future.set_exception(NotConnected(LEFT))

    async def _serve(self) -> None:
        with self._scope:
            self._token = trio.lowlevel.current_trio_token()
            if self._stopped:  # before there was a token to say it with
                self._scope.cancel()
            try:
                async with self._life():
                    await self._work()
            except ArbiterClientError as error:
                if self._ready.done():
                    raise
                self._ready.set_exception(error)
        if not self._ready.done():
            self._ready.set_exception(not_connected(CLOSED))

    async def _work(self) -> None:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._ready.set_result(None)
            try:
                await trio.sleep_forever()
            finally:
                self._nursery = None

    def _begin(self, job: Job) -> None:
        if self._nursery is None:
            job.future.set_exception(not_connected(CLOSED))
        else:
            job.context.run(self._nursery.start_soon, self._carry_out, job)

    async def _carry_out(self, job: Job) -> None:
        try:
            with job.scope:
                job.future.set_result(await job.call())
        except Exception as error:  # noqa: BLE001 the caller's
            job.future.set_exception(error)
        finally:
            if not job.future.done():  # cancelled
                job.future.set_exception(NotConnected(LEFT))
