"""What every stop marker must do; then what only a file can get wrong."""

import errno
import os
import stat
from pathlib import Path

import pytest

from arbiter.domain.ids import UserId
from arbiter.domain.trading_state import TradingState, TradingStatus
from arbiter.errors import StoreError
from arbiter.store.memory import MemoryStopMarker
from arbiter.store.sqlite import InlineRunner, ThreadRunner
from arbiter.store.stop_marker import RESERVED_BYTES, FileStopMarker

ANN = TradingStatus(UserId("ann"), TradingState.HALTED, 5, "enough \u2013 for today")
BOB = TradingStatus(UserId("bob"), TradingState.HALTED, 6)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "marker"


@pytest.fixture(params=["memory", "inline", "thread"])
def make(request, file):
    if request.param == "memory":
        kept = MemoryStopMarker()
        return lambda: kept
    return lambda: FileStopMarker(file, InlineRunner if request.param == "inline" else ThreadRunner)


async def test_what_was_written_last_is_read_by_the_next(make):
    assert await make().read() == ()
    for stops in ((ANN,), (ANN, BOB), (BOB,), (), (), (ANN,)):
        await make().write(stops)
        assert await make().read() == stops


async def test_the_file_is_its_owners_alone_and_gone_where_there_is_nothing_to_keep_but_its_room_on_the_disk(file):
    marker = FileStopMarker(file)
    await marker.write((ANN,))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    await marker.write(())
    assert not file.exists()
    (reserved,) = file.parent.iterdir()
    assert reserved.stat().st_size == RESERVED_BYTES


async def test_a_stop_is_written_also_where_the_disk_became_full_after_the_start(file, monkeypatch):
    marker = FileStopMarker(file, InlineRunner)
    assert await marker.read() == ()
    blocks = file.with_name(f".{file.name}.new").stat().st_blocks

    def no_new_file(path, flags, *more, **named):
        if flags & os.O_CREAT and not Path(path).exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(path, flags, *more, **named)

    opened = os.open
    monkeypatch.setattr(os, "open", no_new_file)
    await marker.write((ANN,))
    assert await marker.read() == (ANN,)
    assert file.stat().st_blocks == blocks


async def test_a_marker_of_someone_who_is_not_stopped_is_damaged(file):
    file.write_text('[{"user":"ann"}]')
    with pytest.raises(StoreError, match="damaged"):
        await FileStopMarker(file, InlineRunner).read()


async def test_a_write_that_was_cut_off_leaves_what_was_there_and_hinders_no_later_one(file, monkeypatch):
    marker = FileStopMarker(file, InlineRunner)
    await marker.write((ANN,))

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match="No space left"):
            await marker.write((ANN, BOB))
    assert await marker.read() == (ANN,)
    await marker.write((BOB,))
    assert await marker.read() == (BOB,)


@pytest.mark.parametrize("body", [b"", b"[", b"{}", b'[{"user": 7}]', b"\xff"])
async def test_a_damaged_file_is_never_taken_for_nobody_is_stopped(file, body):
    file.write_bytes(body)
    with pytest.raises(StoreError, match="names whose trading is stopped and cannot be read"):
        await FileStopMarker(file).read()


async def test_a_folder_that_is_gone_is_a_store_error(tmp_path):
    with pytest.raises(StoreError):
        await FileStopMarker(tmp_path / "gone" / "marker").write((ANN,))
