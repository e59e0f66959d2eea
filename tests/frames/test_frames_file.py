"""A recording's file: what is written is read, what is cut short is told, what is wrong is refused with its line."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from backports import zstd

from arbiter.errors import ConfigError
from arbiter.frames import file as frames_file
from arbiter.frames.dissect import At
from arbiter.frames.file import FramesFile, FrameWriter, is_frames_file, write_whole
from arbiter.frames.lines import LONGEST_LINE, Closed, Exchange, Gap, Header, Opened, Received, encode

ROOT = Path(__file__).resolve().parents[2]
HEADER = Header("arbiter-frames-1", 1_000, {"kalshi": {"ws_url": "ws://k"}})
OPENED = Opened(1, 1_001, 1, "kalshi", "k", "/ws")
REQUEST = b"GET /a HTTP/1.1\r\nhost: k\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


def message(ns: int, text: str = "{}", n: int = 1) -> Received:
    return Received(ns, 1_000 + ns, n, text)


def packed(path: Path, *lines: bytes) -> Path:
    path.write_bytes(zstd.compress(b"".join(line + b"\n" for line in lines)))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.zst"


def test_what_was_written_is_read(path):
    lines = [
        OPENED,
        message(2, "ü"),
        Gap(3, 1_003, "why"),
        Closed(4, 1_004, 1, "venue", 1001),
        Exchange(5, 1_005, "k", "h", "GET", "/", 200),
    ]
    write_whole(path, HEADER, iter(lines))
    file = FramesFile(path)
    assert file.header == HEADER
    assert list(file.lines()) == list(file.lines()) == lines
    assert not file.truncated
    assert is_frames_file(path)


def test_what_a_writer_was_handed_is_in_the_file_in_order(path):
    writer = FrameWriter(path, HEADER)
    writer.put(1, "open", ("kalshi", "k"), At(1, 1))
    for number in range(100):
        writer.put(1, "sent", REQUEST, At(2 + number, 1))
        assert writer.put(1, "received", ANSWER, At(2 + number, 1))
    writer.put(1, "closed", b"", At(200, 1))
    writer.close()
    assert [line.ns for line in FramesFile(path).lines()] == list(range(2, 102))
    assert writer.counts()[:3] == (0, 100, 0)
    assert writer.counts().bytes == path.stat().st_size


def test_a_file_that_is_there_is_not_overwritten(path):
    path.write_text("mine")
    with pytest.raises(ConfigError, match="is there already"):
        FrameWriter(path, HEADER)
    assert path.read_text() == "mine"


def test_what_comes_faster_than_the_bound_is_lost_told_and_its_connection_ended(path, monkeypatch):
    monkeypatch.setattr(FrameWriter, "_work", lambda self: None)  # a disk that stands still
    writer = FrameWriter(path, HEADER, waiting_bytes=1_000)
    assert writer.put(1, "open", ("kalshi", "k"), At(1, 1))
    assert writer.put(1, "sent", REQUEST, At(1, 1))
    assert not writer.put(1, "received", b"x" * 1_000, At(2, 1))
    assert not writer.put(1, "received", b"x" * 1_000, At(3, 1))
    assert writer.put(2, "open", ("kalshi", "k"), At(4, 1))
    monkeypatch.undo()
    writer._ending = True
    writer._work()
    gap, ended = FramesFile(path).lines()
    assert gap == Gap(4, 1, "2 pieces came faster than they could be written")
    assert isinstance(ended, Exchange)
    assert ended.status == 0  # the request whose answer was lost


def test_what_is_lost_last_is_told_at_the_end(path, monkeypatch):
    monkeypatch.setattr(FrameWriter, "_work", lambda self: None)
    writer = FrameWriter(path, HEADER, waiting_bytes=250)
    writer.put(1, "open", ("kalshi", "k"), At(7, 7))
    assert not writer.put(1, "received", b"x" * 1_000, At(8, 8))
    monkeypatch.undo()
    writer._ending = True
    writer._work()
    assert list(FramesFile(path).lines()) == [Gap(7, 7, "1 pieces came faster than they could be written")]


def test_a_full_disk_ends_the_writing_and_says_so():
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this machine")
    writer = FrameWriter.__new__(FrameWriter)
    original = frames_file._created
    frames_file._created = lambda path: path.open("wb")
    try:
        writer.__init__(Path("/dev/full"), HEADER)
    finally:
        frames_file._created = original
    with pytest.raises(ConfigError, match="could not be written on: No space left"):
        writer.close()
    assert not writer.put(1, "open", ("kalshi", "k"), At(1, 1))


KILLED = """
import sys, time
from pathlib import Path
from arbiter.frames.dissect import At
from arbiter.frames.file import FrameWriter
from arbiter.frames.lines import Header
writer = FrameWriter(Path(sys.argv[1]), Header("arbiter-frames-1", 1, {}))
writer.put(1, "open", ("kalshi", "k"), At(1, 1))
number = 1
while True:
    number += 1
    writer.put(1, "sent", b"GET /%d HTTP/1.1\\r\\nhost: k\\r\\n\\r\\n" % number, At(number, 1))
    writer.put(1, "received", b"HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\n{}", At(number, 1))
    if writer.counts().bytes > 3_000 and number % 1_000 == 0:
        print(number, flush=True)
    time.sleep(0.00002)
"""


def test_a_kill_leaves_what_was_flushed_without_a_hole(path):
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    with subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, env=environ) as writing:
        try:
            assert writing.stdout.readline()
            writing.send_signal(signal.SIGKILL)
        finally:
            writing.kill()
    numbers = [int(line.target[1:]) for line in FramesFile(path).lines()]
    assert len(numbers) > 100
    assert numbers == list(range(2, len(numbers) + 2))


def test_an_end_that_is_missing_is_told_and_what_stands_before_it_read(path):
    whole = [OPENED, *(message(number, "x" * 40_000) for number in range(2, 40))]
    write_whole(path, HEADER, iter(whole))
    path.write_bytes(path.read_bytes()[:-7])
    file = FramesFile(path)
    read = list(file.lines())
    assert file.truncated
    assert 0 < len(read) < len(whole)
    assert read == whole[: len(read)]


def test_a_damaged_middle_is_refused(path):
    write_whole(path, HEADER, iter([OPENED, *(message(number, os.urandom(20_000).hex()) for number in range(2, 40))]))
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2_000] = bytes(2_000)
    path.write_bytes(data)
    with pytest.raises(ConfigError, match="damaged"):
        list(FramesFile(path).lines())


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([], "is empty"),
        ([b'{"format":"arbiter-frames-2"}'], "line 1: Invalid enum value"),
        ([b"no json"], "line 1: JSON is malformed"),
        ([encode(HEADER), b'{"k":"moon"}'], "line 2: Invalid value 'moon'"),
        ([encode(HEADER), encode(OPENED)[:-1] + b',"more":1}'], "unknown field"),
        ([encode(HEADER), encode(message(2))], "line 2: connection 1 is not open"),
        ([encode(HEADER), encode(OPENED), encode(OPENED)], "line 3: connection 1 is opened twice"),
        ([encode(HEADER), encode(OPENED), encode(Closed(2, 2, 1, "venue")), encode(message(3))], "line 4: connection 1 is not open"),
        ([encode(HEADER), encode(Gap(5, 1, "")), encode(Gap(4, 1, ""))], "line 3: ns 4 comes after 5"),
        ([encode(HEADER), encode(Gap(5, 1, "")).replace(b"5", b"-5")], "line 2: Expected `int` >= 0"),
        ([encode(HEADER), b"[" * 100_000], "line 2"),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(path, lines, complaint):
    packed(path, *lines)
    with pytest.raises(ConfigError, match=complaint):
        list(FramesFile(path).lines())


def test_a_line_without_end_is_refused_before_it_fills_the_memory(path, monkeypatch):
    monkeypatch.setattr(frames_file, "LONGEST_LINE", 10_000)
    packed(path, encode(HEADER), b'"' + b"x" * 1_000_000)
    with pytest.raises(ConfigError, match="line 2: a line of more than 10000 bytes"):
        list(FramesFile(path).lines())
    assert LONGEST_LINE > 10_000


def test_a_message_too_long_for_a_line_is_a_gap(path, monkeypatch):
    monkeypatch.setattr(frames_file, "LONGEST_LINE", 300)
    writer = FrameWriter(path, HEADER)
    writer.put(1, "open", ("kalshi", "k"), At(1, 1))
    writer.put(1, "sent", REQUEST, At(1, 1))
    writer.put(1, "received", ANSWER.replace(b"length: 2", b"length: 402") + b" " * 400, At(2, 2))
    writer.close()
    (line,) = FramesFile(path).lines()
    assert isinstance(line, Gap)
    assert line.why.startswith("a line of ")


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        FramesFile(tmp_path / "none.zst")
    assert not is_frames_file(tmp_path / "none.zst")
