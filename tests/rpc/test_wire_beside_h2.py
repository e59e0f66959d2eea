"""The wire beside h2: the same random frames to both, and random conversations with an h2 peer.

`WIRE_SEQUENCES` says how many (the nightly recipe: 20,000). A failure names its seed.

After each frame both have told the same (headers, bytes, ends, resets), or both have ended the connection. Where they differ the
sequence ends, and the difference must be one of `DIFFERENCES`, which says why h2 3.2 is not the oracle there. Header validation of
h2 is off: what makes a request is `call_head.py`'s, with tests of its own.
"""

import os
from random import Random

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import pytest

from arbiter.rpc import frames
from arbiter.rpc.frames import Code
from arbiter.rpc.wire import Broken
from tests.rpc.chaos import ANSWER, REQUEST, TRAILERS, Chaos
from tests.rpc.memory_server import block_of
from tests.rpc.wires import Heard

SEQUENCES = int(os.environ.get("WIRE_SEQUENCES", "1000"))
BLOCKS = 4
DIFFERENCES = {
    "over": "a frame of a call that is over: it may have been under way. We keep no list of such calls and ignore it within a budget",
    "skipped": "a stream with a number below the last one: the same, since it cannot be told from one that is over",
    "one call": "h2 ends the connection for what concerns one call (5.4.2 lets either); we reset that call",
    "first": "h2 does not ask that SETTINGS come first (3.4)",
    "idle reset": "h2 ignores the reset of a stream that was never opened (6.4: a connection error)",
    "goaway": "h2 takes nothing any more from a peer that sent GOAWAY; calls that it opened before are to go on (6.8)",
    "priority": "h2 takes a priority of any size (6.3), and of the connection",
    "alternative services": "h2 knows ALTSVC; for us it is an unknown frame",
    "continuation": "h2 answers the continuation of nothing with a reset where the stream was reset (6.10: a connection error)",
    "reserved bit": "hyperframe takes the reserved bit of a window update for a part of the number (6.9: it is ignored)",
    "depends on itself": "a stream that depends on itself ends the connection, in h2 not where the stream has ended before",
    "all padding": "hyperframe takes headers that are padding alone for too much of it",
    "push on": "h2 lets a server say that it may push (6.5.2: a connection error)",
    "pushed": "h2 lets a server open a stream without a push (8.4 knows no other way)",
    "server's push": "both refuse; h2 looks at the stream first",
    "data before headers": "h2 wants an answer's head before its bytes; our client's calls take what comes and fail without a status",
    "second head": "h2 wants an answer's second block to end it; our client takes it for more of the head, as with status 100",
    "acknowledgement with settings": "h2 ignores what stands in an acknowledgement (6.5: FRAME_SIZE_ERROR)",
    "empty padding": "hyperframe takes a padded frame without the length of its padding for one without padding (6.1)",
}


class Theirs:
    """h2 on one side."""

    def __init__(self, *, client):
        config = h2.config.H2Configuration(
            client_side=client, header_encoding=None, validate_inbound_headers=False, normalize_inbound_headers=False
        )
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()

    def receive(self, data):
        """What it tells, or the code that it ends the connection with."""
        try:
            events = self.h2.receive_data(data)
        except h2.exceptions.ProtocolError as error:
            return Code(error.error_code)
        except (AttributeError, KeyError, ValueError, TypeError, AssertionError) as error:  # bugs of hyperframe 5 and h2 3
            return type(error)
        return [told for event in events for told in _told(event)]


def _told(event):
    match event:
        case h2.events.RequestReceived() | h2.events.ResponseReceived() | h2.events.TrailersReceived():
            yield "headers", event.stream_id, [(bytes(name), bytes(value)) for name, value in event.headers]
        case h2.events.InformationalResponseReceived():
            yield "headers", event.stream_id, [(bytes(name), bytes(value)) for name, value in event.headers]
        case h2.events.DataReceived() if event.data:
            yield "data", event.stream_id, bytes(event.data)
        case h2.events.StreamEnded():
            yield "ended", event.stream_id
        case h2.events.StreamReset():
            yield "reset", event.stream_id, int(event.error_code)
        case h2.events.PingAckReceived():
            yield ("pong",)


def ours(heard, data):
    try:
        heard.receive(data)
    except Broken as error:
        return error.code
    found = []
    for kind, *rest in heard.told():
        if kind in ("opened", "headers"):
            found.append(("headers", rest[0], rest[1]))
        elif kind == "data" and rest[1]:
            found.append(("data", rest[0], rest[1]))
        elif kind in ("reset", "pong"):
            found.append((kind, *rest))
        if kind in ("opened", "headers", "data") and rest[2]:
            found.append(("ended", rest[0]))
    return found


def difference(case, one, mine, *, client):
    """Which of `DIFFERENCES` this is; empty where it is none."""
    kind, flags, number, size = one[3], one[4], int.from_bytes(one[5:9], "big") & frames.LARGEST_ID, int.from_bytes(one[:3], "big")
    alive = case["alive"]
    odd_and_old = number % 2 == 1 and number <= case["last"]
    broke = isinstance(mine, Code)
    if kind == frames.GOAWAY and not broke:
        return "goaway"
    if kind == frames.WINDOW_UPDATE and not broke and one[9] & 0x80:
        return "reserved bit"
    if kind == frames.HEADERS and broke and flags & frames.WITH_PRIORITY and odd_and_old:
        return "depends on itself"
    if kind == frames.HEADERS and flags & frames.PADDED and not broke and one[9] == size - 1:
        return "all padding"
    if client and kind == frames.SETTINGS and broke:
        return "push on"
    if kind == 10:
        return "alternative services"
    if kind == frames.PRIORITY and broke:
        return "priority"
    if kind == frames.PUSH_PROMISE and broke:
        return "server's push"
    if kind == frames.CONTINUATION and broke:
        return "continuation"
    if client and kind == frames.HEADERS and broke and number % 2 == 0:
        return "pushed"
    if kind == frames.RST_STREAM and broke and not odd_and_old:
        return "idle reset"
    if kind == frames.SETTINGS and broke and flags & frames.ACK and size:
        return "acknowledgement with settings"
    if kind in (frames.DATA, frames.HEADERS) and flags & frames.PADDED and not size and broke:
        return "empty padding"
    if not broke and odd_and_old and number not in alive:
        return "over" if number in case["opened"] else "skipped"
    if not broke and number in alive and any(told[:2] == ("reset", number) for told in mine):
        return "one call"
    if client and not broke and kind == frames.DATA and number in alive:
        return "data before headers"
    if client and not broke and kind in (frames.HEADERS, frames.CONTINUATION) and number in alive:
        return "second head"
    return ""


def compare(random, *, client):
    """One sequence. Returns why it ended early, or an empty string."""
    heard, theirs = Heard(client=client), Theirs(client=client)
    chaos = Chaos(random, to_client=client)
    start = frames.settings([]) if client else frames.PREFACE + frames.settings([])
    assert ours(heard, start) == theirs.receive(start) == []
    if client:
        for _ in range(random.randint(1, 4)):
            stream = heard.open()
            heard.wire.finish(stream)
            theirs.h2.send_headers(theirs.h2.get_next_available_stream_id(), REQUEST, end_stream=True)
            chaos.next = stream.id + 2
    opened = set(heard.wire.streams)
    for step in range(random.randint(3, 30)):
        one = chaos.one()
        case = {"alive": set(heard.wire.streams), "last": heard.wire.last, "opened": set(opened)}
        mine, other = ours(heard, one), theirs.receive(one)
        opened |= set(heard.wire.streams)
        if isinstance(mine, Code) and (isinstance(other, Code | type)):
            return ""
        if mine != other:
            why = difference(case, one, mine, client=client)
            assert why in DIFFERENCES, (step, one, mine, other, case)
            return why
        if one[3] == frames.GOAWAY:
            return "goaway"
    return ""


@pytest.mark.parametrize("block", range(BLOCKS))
@pytest.mark.parametrize("client", [False, True], ids=["server", "client"])
def test_random_frames_mean_to_the_wire_what_they_mean_to_h2(client, block):
    whole = early = 0
    for seed in range(block, SEQUENCES // 2, BLOCKS):
        try:
            early += bool(compare(Random(seed), client=client))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        whole += 1
    assert early < whole * 0.8, "the rest compared everything"


# -- conversations --


class Talk:
    """Our wire and an h2 peer, both behaving, with windows that are small."""

    def __init__(self, random, *, client):
        self.random, self.client = random, client
        self.heard, self.peer = Heard(client=client), Theirs(client=not client)
        self.window = random.choice((0, 10, 65_535, 2**20))
        self.peer.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: self.window})
        self.said, self.got = {}, {}
        """By direction ("ours", "theirs") and stream: bytes, headers, ends."""
        self.exchange()

    def exchange(self):
        """Everything that either has to send, in pieces."""
        for _ in range(3):
            data = self.peer.h2.data_to_send()
            while data:
                size = self.random.choice((1, 30, 10_000, 10**6)) if len(data) < 3000 else 10**6
                for told in ours(self.heard, data[:size]):
                    self.note("theirs", told)
                data = data[size:]
            while self.heard.wire.out:
                out = bytes(self.heard.wire.take())
                found = self.peer.receive(out)
                assert isinstance(found, list), found
                for told in found:
                    self.note("ours", told)
                    if told[0] == "data" and self.alive(told[1]) and self.random.random() < 0.7:
                        self.peer.h2.acknowledge_received_data(len(told[2]), told[1])

    def alive(self, number):
        stream = self.peer.h2.streams.get(number)
        return stream is not None and stream.open

    def note(self, who, told):
        kind, number, *rest = told if len(told) > 1 else (*told, 0)
        entry = self.got.setdefault((who, number), [b"", [], False, None])
        if kind == "data":
            entry[0] += rest[0]
        elif kind == "headers":
            entry[1].append(rest[0])
        elif kind == "ended":
            entry[2] = True
        elif kind == "reset":
            entry[3] = rest[0]

    def say(self, who, number):
        return self.said.setdefault((who, number), [b"", [], False, None])


def talk(random, *, client):
    run = Talk(random, client=client)
    peer, wire, heard = run.peer.h2, run.heard.wire, run.heard
    for _ in range(random.randint(5, 40)):
        roll = random.random()
        if roll < 0.25:
            if client:
                stream = heard.open()
                run.say("ours", stream.id)[1].append(REQUEST)
            else:
                number = peer.get_next_available_stream_id()
                extra = [(b"n", b"v" * random.choice((1,) * 9 + (500, 20_000)))]
                peer.send_headers(number, REQUEST + extra)
                run.say("theirs", number)[1].append(REQUEST + extra)
        elif roll < 0.55 and wire.streams:
            stream = random.choice(list(wire.streams.values()))
            said = run.say("ours", stream.id)
            if not said[2] and stream.trailer is None:
                if not client and not said[1]:
                    head = [*ANSWER, (b"n", b"v" * random.choice((1, 40_000)))]
                    said[1].append(head)
                    wire.headers(stream, b"\x88" + block_of(head[1:]))
                body = random.randbytes(random.choice((1, 100, 30_000)))
                said[0] += body
                wire.send(stream, body)
        elif roll < 0.65 and wire.streams:
            stream = random.choice(list(wire.streams.values()))
            said = run.say("ours", stream.id)
            if not said[2] and (client or said[1]):
                said[2] = True
                if not client:
                    said[1].append(TRAILERS)
                wire.finish(stream, b"" if client else block_of(TRAILERS))
        elif roll < 0.9 and peer.streams:
            number = random.choice(list(peer.streams))
            said = run.say("theirs", number)
            if run.alive(number) and not said[2] and number in wire.streams:
                if client and not said[1]:
                    said[1].append(ANSWER)
                    peer.send_headers(number, ANSWER)
                body = random.randbytes(min(random.choice((1, 100, 9000)), peer.local_flow_control_window(number)))
                said[0] += body
                said[2] = random.random() < 0.4
                peer.send_data(number, body, end_stream=said[2], pad_length=random.choice((None, 3)) if len(body) == 100 else None)
        elif peer.streams:
            number = random.choice(list(peer.streams))
            if run.alive(number):
                peer.increment_flow_control_window(random.choice((1, 50_000)), random.choice((None, number)))
        run.exchange()
    for _ in range(40):  # now it reads everything
        if not any(stream.pending for stream in wire.streams.values()):
            break
        peer.increment_flow_control_window(2**20)
        for number in list(peer.streams):
            if run.alive(number) and peer.streams[number].inbound_flow_control_window < 2**20:
                peer.increment_flow_control_window(2**20, number)
        run.exchange()
    for key, said in run.said.items():
        got = run.got.get(key, [b"", [], False, None])
        answered_early = not client and key[0] == "theirs" and run.said.get(("ours", key[1]), [0, 0, False])[2]
        if answered_early:
            assert said[0].startswith(got[0])
            continue
        assert got[0] == said[0], key
        assert got[1] == said[1], key
        assert got[2] == said[2], key
    assert all(not stream.pending for stream in wire.streams.values())


@pytest.mark.parametrize("client", [False, True], ids=["server", "client"])
def test_random_conversations_with_h2_lose_nothing_either_way(client):
    for seed in range(min(SEQUENCES // 25, 400)):
        try:
            talk(Random(seed), client=client)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
