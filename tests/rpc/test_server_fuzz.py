"""Abuse of the composed program's front: whatever comes gets its proper status, and afterwards nothing of it is left.

`FUZZ_CASES` says how many calls and broken connections (the nightly recipe: 100,000). A failure names its seed. The connections are
the real ones on pipes in memory; gate, services and actors are the program's. Rate limits are lifted: they have tests of their own.
"""

import base64
import gc
import json
import os
import re
import urllib.parse
from collections import Counter
from random import Random

import trio
import trio.lowlevel
from purerpc import Cardinality

from arbiter.domain.limits import TokenBucket
from arbiter.rpc import frames
from arbiter.rpc.frames import frame
from arbiter.rpc.gate import OPEN_METHODS
from arbiter.rpc.tokens import Keys, TokenAuthority, make_signing_key
from tests.rpc.chaos import Chaos
from tests.rpc.memory_server import block_of, connected

CASES = int(os.environ.get("FUZZ_CASES", "4000"))
CALLS = 15
"""On one connection at once."""
SECONDS = 10
OK, CANCELLED, UNKNOWN, INVALID, DENIED, EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAUTHENTICATED = 0, 1, 2, 3, 7, 8, 12, 13, 16
NUMBERS = (0, 1, -1, 10**6, -(10**6), 2**31 - 1, -(2**31), 2**63 - 1, -(2**63), 10**18)
TEXTS = (
    "",
    " ",
    "yes",
    "kalshi",
    "polymarket",
    "KXFINAL-27FEB01-RED",
    "arbitrage",
    "final",
    "\0",
    "é" * 100,
    "x" * 5000,
    "../..",
    "%s%n",
    "k",
)
OBJECTS_MORE = 20_000
"""What the garbage collector may count more after all: tables and caches of the program that are bounded, and orders that it keeps."""


def filled(random, kind):
    """A message with random fields."""
    message = kind()
    _fill(random, message, 0)
    return message


def _fill(random, message, depth):
    for field in message.DESCRIPTOR.fields:
        if random.random() < 0.3:
            continue
        for _ in range(random.choice((1, 2)) if field.is_repeated else 1):
            if field.message_type is None:
                _put(message, field, _value(random, field))
            elif depth <= 2 and not field.message_type.GetOptions().map_entry:
                part = getattr(message, field.name)
                part = part.add() if field.is_repeated else part
                part.SetInParent()
                _fill(random, part, depth + 1)


def _put(message, field, value):
    if field.is_repeated:
        getattr(message, field.name).append(value)
    else:
        setattr(message, field.name, value)


def _value(random, field):
    if field.enum_type is not None:
        return random.choice((0, 1, 2, 77, 2**31 - 1, -1))
    match field.cpp_type:
        case field.CPPTYPE_STRING:
            text = "x" * 2**20 if random.random() < 0.002 else random.choice(TEXTS)
            return text.encode() if field.type == field.TYPE_BYTES else text
        case field.CPPTYPE_BOOL:
            return random.random() < 0.5
        case field.CPPTYPE_INT32:
            return random.choice([number for number in NUMBERS if abs(number) < 2**31])
        case field.CPPTYPE_UINT32:
            return random.choice([number for number in NUMBERS if 0 <= number < 2**32])
        case field.CPPTYPE_INT64:
            return random.choice(NUMBERS)
        case field.CPPTYPE_UINT64:
            return random.choice([number for number in NUMBERS if number >= 0])
    return 0.5


class Tokens:
    """Good ones, and every kind that is not."""

    def __init__(self, program):
        environment, audience = program.arbiter.core.environment, program.arbiter.front.tokens._audience
        self.good = {user: program.token(user) for user in ("free", "pro", "operator")}
        token = self.good["pro"]
        head, claims, signature = token.split(".")
        stranger = TokenAuthority(Keys(make_signing_key(), b"pepper", audience), environment)
        other = TokenAuthority(Keys(make_signing_key(), b"pepper", "arbiter:live:other"), environment)
        self.bad = [
            "",
            "x",
            "a.b.c",
            f"{_part({'alg': 'none', 'typ': 'JWT'})}.{claims}.",
            f"{_part({**_unpart(head), 'alg': 'none'})}.{claims}.",
            f"{_part({**_unpart(head), 'alg': 'HS256'})}.{claims}.{signature}",
            f"{head}.{_part({**_unpart(claims), 'sub': 'operator'})}.{signature}",
            f"{head}.{_part({**_unpart(claims), 'exp': 1})}.{signature}",
            f"{head}.{claims}.{signature[:-2]}",
            stranger.issue("pro")[0],
            other.issue("pro")[0],
            token * 20,
        ]

    def one(self, random):
        """The field, and whether it is good."""
        roll = random.random()
        if roll < 0.75:
            return [(b"authorization", b"Bearer " + random.choice(list(self.good.values())).encode())], True
        if roll < 0.8:
            return [], False
        return [(b"authorization", random.choice((b"Bearer ", b"Basic ")) + random.choice(self.bad).encode())], False


def _part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _unpart(text):
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


class Abuse:
    """One connection's worth."""

    def __init__(self, random, peer, methods, tokens):
        self.random, self.peer, self.methods, self.tokens = random, peer, methods, tokens
        self.expected = {}
        """By stream: the statuses that it may end with, empty for any but those of a failure of ours; and whether it may go on."""

    def call(self, number):
        random = self.random
        path, kind, many, opened = random.choice(self.methods)
        body = filled(random, kind).SerializeToString()
        extra, good = self.tokens.one(random)
        allowed = None if good or opened else {UNAUTHENTICATED, EXHAUSTED}  # many failures by one address are throttled
        flag, length, roll = 0, len(body), random.random()
        if roll < 0.1 and body:
            body = body[: random.randrange(len(body))]  # truncated, and its length says so
            length = len(body)
        elif roll < 0.2 and body:
            at = random.randrange(len(body))
            body = body[:at] + bytes([random.randrange(256)]) + body[at + 1 :]
        elif roll < 0.25:
            length = random.choice((length + 1, 2**32 - 1, 2**31, 4 * 2**20 + 1))
            allowed = allowed or {INTERNAL, EXHAUSTED, DENIED}
        elif roll < 0.28:
            flag = random.choice((1, 2, 255))
            allowed = allowed or {INTERNAL, DENIED, EXHAUSTED}  # the last for 1 MiB of somebody without a token
        elif roll < 0.32:
            extra.append((b"grpc-encoding", random.choice((b"snappy", b"", b"\xff"))))
            allowed = {UNIMPLEMENTED}
        elif roll < 0.35:
            # with the longest token still a block that a connection survives
            extra.append((b"x-huge", b"h" * random.choice((17_000, 50_000))))
            allowed = {EXHAUSTED}
        elif roll < 0.38:
            extra.append(random.choice(((b"grpc-timeout", b"1x"), (b"x-bin", b"!"), (b"x-bad", b"\x01"))))
            allowed = {INVALID}
        elif roll < 0.4:
            path = random.choice((path + "x", "no.Service/No"))
            allowed = {UNIMPLEMENTED, DENIED} if good else {UNAUTHENTICATED, EXHAUSTED}
        self.expected[number] = allowed, many, path
        self.send(number, path, extra, bytes([flag]) + length.to_bytes(4, "big") + body)

    def send(self, number, path, extra, message):
        fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/" + path.encode()), (b":authority", b"t")]
        block = block_of([*fields, (b"te", b"trailers"), (b"content-type", b"application/grpc"), *extra])
        parts = [block[at : at + 16_384] for at in range(0, len(block), 16_384)]
        for at, part in enumerate(parts):
            kind = frames.CONTINUATION if at else frames.HEADERS
            self.peer.pipe.feed(frame(kind, frames.END_HEADERS if at == len(parts) - 1 else 0, number, part))
        size = self.random.choice((16_384, 16_384, 7)) if len(message) < 3000 else 16_384
        parts = [message[at : at + size] for at in range(0, len(message), size)]
        for at, part in enumerate(parts):
            self.peer.pipe.feed(frame(frames.DATA, frames.END_STREAM if at == len(parts) - 1 else 0, number, part))

    def over(self):
        """Whether all that has an end has it."""
        self.peer.frames()
        return all(many or number in self.ends() for number, (_, many, _) in self.expected.items())

    def ends(self):
        return {stream: block for kind, _, stream, block in self.peer.seen if kind == frames.HEADERS and b"grpc-status" in block}

    def judge(self):
        ends = self.ends()
        for number, (allowed, _, path) in self.expected.items():
            if number not in ends:
                continue  # a stream that goes on
            block = ends[number]
            status = int(block[b"grpc-status"])
            text = urllib.parse.unquote(block.get(b"grpc-message", b"").decode())
            if allowed is None:
                assert status not in (UNKNOWN, INTERNAL, CANCELLED), (path, status, text)
            else:
                assert status in allowed, (path, status, text, allowed)
            if status == INVALID and allowed is None:
                assert re.match(r"[a-z][a-z0-9_.\[\]]*: ", text), (path, text)


async def calls(random, server, methods, tokens):
    async with connected(server, f"10.{random.randrange(256)}.{random.randrange(256)}.1") as peer:
        peer.greet()
        abuse = Abuse(random, peer, methods, tokens)
        for number in range(1, 2 * CALLS, 2):
            abuse.call(number)
        with trio.move_on_after(SECONDS):
            while not abuse.over():  # noqa: ASYNC110 what is looked at has no event
                await trio.sleep(0.001)
        assert abuse.over(), {number: abuse.expected[number] for number in abuse.expected if number not in abuse.ends()}
        abuse.judge()
        if random.random() < 0.5:
            peer.pipe.feed(*(frames.reset(number, 8) for number in abuse.expected))


async def noise(random, server, methods, tokens):
    """Frames at random, on top of calls that run."""
    async with connected(server, f"10.{random.randrange(256)}.{random.randrange(256)}.1") as peer:
        peer.greet()
        abuse, chaos = Abuse(random, peer, methods, tokens), Chaos(random, to_client=False)
        for number in (1, 3):
            abuse.call(number)
        chaos.next = 5
        for _ in range(CALLS - 2):
            peer.pipe.feed(random.randbytes(30) if random.random() < 0.02 else chaos.one())
            if random.random() < 0.3:
                await trio.lowlevel.checkpoint()
        await trio.sleep(0.001)


def tasks_living():
    """By name, without the sandbox's, which keep the venues' connections."""
    names, waiting = Counter(), [trio.lowlevel.current_root_task()]
    while waiting:
        task = waiting.pop()
        names[task.name] += not task.name.startswith("arbiter.sandbox.")
        waiting += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return names


async def test_whatever_comes_gets_its_status_and_leaves_nothing(program, monkeypatch, logged, eventually):
    monkeypatch.setattr(TokenBucket, "take", lambda bucket, now: 0)
    front = program.arbiter.front
    server, tokens = front.server, Tokens(program)
    methods = [
        (
            f"{service.name}/{name}",
            bound.signature.request_type,
            bound.signature.cardinality is not Cardinality.UNARY_UNARY,
            (service.name, name) in OPEN_METHODS or not service.name.startswith("arbiter."),
        )
        for service in front.services
        for name, bound in service.methods.items()
        if name not in ("RevokeTokens", "RotateApiKey")  # they end the sign-ins that the rest is done with
    ]

    async def run(seed):
        random = Random(seed)
        try:
            await (noise if random.random() < 0.3 else calls)(random, server, methods, tokens)
        except (AssertionError, ExceptionGroup) as error:
            raise AssertionError(f"seed {seed}: {error!r} {getattr(error, 'exceptions', '')}") from error

    async def settled():
        await eventually(lambda: (server.calls, server.held, server.connections) == (0, 0, 0))

    runs = CASES // CALLS
    for seed in range(min(20, runs)):  # the users' sessions, and what is made once
        await run(seed)
    await settled()
    gc.collect()
    tasks, objects = tasks_living(), len(gc.get_objects())
    for seed in range(20, runs):
        await run(seed)
    await settled()
    await eventually(lambda: not tasks_living() - tasks)
    gc.collect()
    assert len(gc.get_objects()) - objects < OBJECTS_MORE + CASES
    assert [line for line in logged if line["log_level"] in ("error", "critical") or "exc_info" in line] == []
