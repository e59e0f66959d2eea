"""The data folder: held by one process, bound to a mode, its files private and whole."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from arbiter.data_folder import DataFolder, Secret
from arbiter.errors import ConfigError


@pytest.fixture
def folder(tmp_path):
    return DataFolder(tmp_path / "a" / "data")


def test_it_is_made_for_its_owner_alone(folder):
    with folder.hold("sandbox"):
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
        assert folder.database == folder.path / "arbiter.db"


def test_a_folder_that_is_there_and_empty_becomes_its_owners_alone(folder):
    folder.path.mkdir(parents=True)
    folder.path.chmod(0o777)
    with folder.hold("sandbox"):
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o1777])
def test_a_folder_with_other_things_that_others_may_write_to_is_refused_and_left_as_it_is(folder, mode):
    folder.path.mkdir(parents=True)
    (folder.path / "other").touch()
    folder.path.chmod(mode)
    with pytest.raises(ConfigError, match=r"others may write to the data folder .*, and so replace its keys; chmod go-w it, or "):
        folder.hold("sandbox").__enter__()
    assert (stat.S_IMODE(folder.path.stat().st_mode), list(folder.path.iterdir())) == (mode, [folder.path / "other"])


def test_a_folder_with_other_things_that_others_may_read_is_taken_as_it_is_with_files_that_they_may_not_read(folder):
    folder.path.mkdir(parents=True)
    (folder.path / "other").mkdir()
    folder.path.chmod(0o755)
    with folder.hold("sandbox"):
        folder.write_private("secret", "x")
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o755
        assert {stat.S_IMODE(path.stat().st_mode) for path in folder.path.iterdir() if path.is_file()} == {0o600}


@pytest.mark.parametrize("text", ["", "\0\0\0\0\0\0\0\0"])
def test_a_mode_that_a_power_cut_ate_is_told_with_the_way_out(folder, text):
    with folder.hold("sandbox"):
        (folder.path / "mode").write_text(text)
    with pytest.raises(ConfigError, match=r"/mode is (empty|damaged); write the folder's mode into it, such as sandbox, or "):
        folder.hold("sandbox").__enter__()


def test_a_second_holder_is_refused_until_the_first_is_gone(folder):
    refusal = pytest.raises(ConfigError, match=r"another Arbiter is running on the data folder .*; stop it, or .* --data")
    with folder.hold("sandbox"), refusal, folder.hold("sandbox"):
        pass
    with folder.hold("sandbox"):
        pass


def test_another_process_is_refused_too(folder):
    program = (
        "import sys; from pathlib import Path; from arbiter.data_folder import DataFolder\n"
        "try:\n    with DataFolder(Path(sys.argv[1])).hold('sandbox'): print('held')\nexcept Exception as error: print(error)"
    )
    with folder.hold("sandbox"):
        refused = subprocess.run([sys.executable, "-c", program, str(folder.path)], capture_output=True, text=True, check=True)
    assert "another Arbiter is running" in refused.stdout
    held = subprocess.run([sys.executable, "-c", program, str(folder.path)], capture_output=True, text=True, check=True)
    assert held.stdout == "held\n"


def test_a_crash_in_the_block_lets_go(folder):
    with pytest.raises(ZeroDivisionError), folder.hold("sandbox"):
        raise ZeroDivisionError
    with folder.hold("sandbox"):
        pass


def test_a_folder_belongs_to_the_mode_it_was_made_in(folder):
    with folder.hold("sandbox"):
        pass
    with pytest.raises(ConfigError, match=r"belongs to mode sandbox, this start is live; choose another"):
        folder.hold("live").__enter__()
    with folder.hold("sandbox"):
        pass


def test_a_folder_below_a_regular_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot write to the data folder .*: Not a directory; choose another folder with --data$"):
        DataFolder(tmp_path / "file" / "data").hold("sandbox").__enter__()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_folder_that_cannot_be_made_is_no_matter_of_permissions():
    with pytest.raises(ConfigError, match=r"folder /proc/nope: No such file or directory; choose another folder with --data$"):
        DataFolder(Path("/proc/nope")).hold("sandbox").__enter__()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_permissions_that_forbid_it_are_to_be_mended(folder, monkeypatch, number):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ConfigError, match=r"; mend its permissions, or choose another folder with --data$"):
        folder.hold("sandbox").__enter__()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match="Permission denied"):
        DataFolder(tmp_path / "data").hold("sandbox").__enter__()


def test_a_private_file_is_read_back_and_is_its_owners_alone(folder):
    with folder.hold("sandbox"):
        before = os.umask(0)
        try:
            folder.write_private("secret", "first")
        finally:
            os.umask(before)
        assert stat.S_IMODE((folder.path / "secret").stat().st_mode) == 0o600
        assert folder.read_text("secret") == "first"
        folder.write_private("secret", "second")
        assert folder.read_text("secret") == "second"
        assert {path.name for path in folder.path.iterdir()} == {"lock", "mode", "secret"}


def test_a_text_is_on_the_disk_before_its_name_is_and_the_name_before_the_call_returns(folder, monkeypatch):
    """What a power cut could leave follows from the order of these four."""
    story = []

    def told(name, real):
        def call(*arguments):
            what = name
            if name == "fsync":
                what = "sync folder" if stat.S_ISDIR(os.fstat(arguments[0]).st_mode) else f"sync {os.fstat(arguments[0]).st_size} bytes"
            story.append(what)
            return real(*arguments)

        return call

    with folder.hold("sandbox"):
        monkeypatch.setattr(os, "fsync", told("fsync", os.fsync))
        monkeypatch.setattr(Path, "replace", told("rename", Path.replace))
        folder.write_private("secret", "text")
        assert story == ["sync 5 bytes", "rename", "sync folder"]


SECRET = Secret("key", "whole".__eq__, "remove it")


def test_a_secret_is_made_once(folder):
    with folder.hold("sandbox"):
        assert folder.read_secret(SECRET) is None
        assert folder.read_or_make(SECRET, lambda: "whole") == "whole"
        assert folder.read_or_make(SECRET, lambda: "another") == "whole"
        assert folder.read_secret(SECRET) == "whole"


@pytest.mark.parametrize(
    ("found", "word"), [(b"", "empty"), (b" \n", "empty"), (b"\0" * 8, "damaged"), (b"who", "damaged"), (b"\xff\xfe", "damaged")]
)
def test_a_damaged_secret_is_refused_with_its_cure_and_kept(folder, found, word):
    with folder.hold("sandbox"):
        (folder.path / "key").write_bytes(found)
        for read in (folder.read_secret, lambda secret: folder.read_or_make(secret, lambda: "whole")):
            with pytest.raises(ConfigError, match=rf"/key is {word}; remove it$"):
                read(SECRET)
        assert (folder.path / "key").read_bytes() == found


def test_a_file_that_is_not_there_reads_as_none_and_can_be_removed(folder):
    with folder.hold("sandbox"):
        assert folder.read_text("nothing") is None
        folder.remove("nothing")
        folder.write_private("something", "x")
        folder.remove("something")
        assert folder.read_text("something") is None


def test_a_file_that_cannot_be_read_or_written_is_a_config_error_and_leaves_nothing_behind(folder):
    with folder.hold("sandbox"):
        (folder.path / "odd").mkdir()
        with pytest.raises(ConfigError, match="cannot read"):
            folder.read_text("odd")
        with pytest.raises(ConfigError, match="cannot write"):
            folder.write_private("odd", "x")
        (folder.path / "binary").write_bytes(b"\xff\xfe")
        with pytest.raises(ConfigError, match="cannot read"):
            folder.read_text("binary")
        assert {path.name for path in folder.path.iterdir()} == {"lock", "mode", "odd", "binary"}
