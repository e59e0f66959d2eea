"""The secrets of an instance: made once, and told when they are damaged, before anything runs with them."""

import pytest

from arbiter.data_folder import DataFolder
from arbiter.errors import ConfigError
from arbiter.instance import load_keys, rotate_signing_key
from arbiter.rpc.tokens import make_api_key

FILES = [
    "token_key.pem",
    "api_key_pepper",
    "master_key",
    "retired_token_keys",
    "instance",
    "bot_credential",
    "sandbox_api_key",
    "operator_api_key",
]


@pytest.fixture
def folder(tmp_path):
    """A data folder that was started on once."""
    folder = DataFolder(tmp_path / "data")
    with folder.hold("sandbox"):
        keys, _ = load_keys(folder, "sandbox")
        for name in ("sandbox_api_key", "operator_api_key"):
            folder.write_private(name, make_api_key(keys.pepper)[0])
        rotate_signing_key(folder, keys, 1)
        yield folder


def test_a_second_start_has_the_same_keys(folder):
    assert load_keys(folder, "sandbox") == load_keys(folder, "sandbox")


@pytest.mark.parametrize("damage", [lambda _: b"", lambda text: b"\0" * len(text), lambda text: text[: len(text) // 2]])
@pytest.mark.parametrize("name", FILES)
def test_a_secret_that_is_empty_or_cut_off_is_told_with_what_to_do(folder, name, damage):
    path = folder.path / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ConfigError, match=rf"{name} is (empty|damaged); .*remove it.* and start again: ") as caught:
        load_keys(folder, "sandbox")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_what_the_message_says_of_a_damaged_secret_lets_the_next_start_begin(folder, name):
    (folder.path / name).unlink()
    load_keys(folder, "sandbox")


def test_a_changed_signing_key_and_the_one_before_are_there_at_the_next_start(folder):
    before, _ = load_keys(folder, "sandbox")
    changed = rotate_signing_key(folder, before, 1_000)
    assert changed.signing_pem.strip() != before.signing_pem.strip()
    after, _ = load_keys(folder, "sandbox")
    assert (after.signing_pem.strip(), after.retired, after.master) == (changed.signing_pem.strip(), changed.retired, before.master)
    assert len(after.retired) == 2
    again = rotate_signing_key(folder, after, after.retired[0].until_ms)
    assert len(again.retired) == 2


def test_cut_off_between_the_two_files_the_key_before_still_signs_and_verifies(folder, monkeypatch):
    keys, _ = load_keys(folder, "sandbox")
    write = folder.write_private

    def cut_off(name, text):
        if name == "token_key.pem":
            raise ConfigError("the power is gone")
        write(name, text)

    monkeypatch.setattr(folder, "write_private", cut_off)
    with pytest.raises(ConfigError, match="power"):
        rotate_signing_key(folder, keys, 1_000)
    after, _ = load_keys(folder, "sandbox")
    assert after.signing_pem == keys.signing_pem


def test_the_master_key_is_its_own(folder):
    keys, _ = load_keys(folder, "sandbox")
    assert len(keys.master) == 32
    assert keys.master.hex() not in repr(keys)
