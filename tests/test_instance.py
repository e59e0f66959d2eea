"""The secrets of an instance: made once, and told when they are damaged, before anything runs with them."""

import pytest

from arbiter.data_folder import DataFolder
from arbiter.errors import ConfigError
from arbiter.instance import load_keys
from arbiter.rpc.tokens import make_api_key

FILES = ["token_key.pem", "api_key_pepper", "instance", "bot_credential", "sandbox_api_key", "operator_api_key"]


@pytest.fixture
def folder(tmp_path):
    """A data folder that was started on once."""
    folder = DataFolder(tmp_path / "data")
    with folder.hold("sandbox"):
        keys, _ = load_keys(folder, "sandbox")
        for name in ("sandbox_api_key", "operator_api_key"):
            folder.write_private(name, make_api_key(keys.pepper)[0])
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
