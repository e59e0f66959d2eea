"""Scripts of faults: what is read, what is refused and how, and when what is in them happens."""

from pathlib import Path

import pytest

from arbiter.errors import ConfigError
from arbiter.sandbox.exchange import Sandbox
from arbiter.sandbox.faults import ANSWERS, FRAMES, NOW, Fault, Script
from arbiter.sandbox.faults.script import Player

START = 1_767_225_600_123
HEAD = 'format = "arbiter-faults-1"\n'


def script(*faults):
    return HEAD + "".join(f"[[fault]]\n{fault}\n" for fault in faults)


def test_a_script_is_read_with_all_its_fields():
    text = script(
        'at_ms = 30_000\nvenue = "kalshi"\nwhat = "drop-frame"\ncount = 3',
        'venue = "polymarket"\nwhat = "answer-503"\nfor_ms = 2_000\npath = "/book"\nretry_after_s = 1\nevery_ms = 60_000',
    )
    first, second = Script.parse(text).steps
    assert (first.at_ms, first.every_ms, first.venue, first.fault) == (30_000, 0, "kalshi", Fault("drop-frame", count=3))
    assert (second.at_ms, second.every_ms, second.venue) == (0, 60_000, "polymarket")
    assert second.fault == Fault("answer-503", for_ms=2_000, path="/book", retry_after_s=1)


def test_a_script_without_faults_is_one_in_which_nothing_happens():
    assert Script.parse(HEAD).steps == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", 'it must say format = "arbiter-faults-1"'),
        ('format = "arbiter-faults-2"', "it must say format"),
        (HEAD + "faults = []", "there is no 'faults'; the nearest is 'fault'"),
        (HEAD + "fault = 1", "at most 10000 tables"),
        (HEAD + "fault = [1]", "fault 1: it must be a table"),
        ("format = ", "Invalid value"),
        (script('venue = "kalshi"\nwhat = "drop-fram"'), "fault 1: there is no fault 'drop-fram'; the nearest is 'drop-frame'"),
        (script('venue = "kalshi"'), "fault 1: there is no fault None"),
        (script('venue = "kalsi"\nwhat = "stall"'), "there is no venue 'kalsi'; the nearest is 'kalshi'"),
        (script('what = "stall"'), "there is no venue None"),
        (
            script('venue = "kalshi"\nwhat = "stall"', 'venue = "kalshi"\nwhat = "stall"\nafter_ms = 1'),
            "fault 2: .*'after_ms'; the nearest is 'at_ms'",
        ),
        (script('venue = "kalshi"\nwhat = "stall"\nat_ms = 1.5'), "at_ms must be a whole number"),
        (script('venue = "kalshi"\nwhat = "stall"\nat_ms = true'), "at_ms must be a whole number"),
        (script('venue = "kalshi"\nwhat = "stall"\nat_ms = -1'), "at_ms must be a whole number"),
        (script('venue = "kalshi"\nwhat = "stall"\nevery_ms = 5'), "every_ms must be at least 100"),
        (script('venue = "kalshi"\nwhat = "stall"\ncount = 5'), "stall does not take count"),
        (script('venue = "kalshi"\nwhat = "drop-frame"\ncount = "5"'), "Expected `int`"),
        (script('venue = "kalshi"\nwhat = "drop-frame"\ncount = -5'), "Expected `int` >= 0"),
        (script('venue = "kalshi"\nwhat = "huge-message"\nsize = 100_000_000'), "Expected `int` <="),
        (script('venue = "polymarket"\nwhat = "error-25"'), "error-25 is Kalshi's"),
    ],
)
def test_what_is_wrong_is_told_with_the_fault_and_the_nearest_name(tmp_path, text, said):
    path = tmp_path / "script.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        Script.load(path)


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        Script.load(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="utf-8"):
        Script.load(tmp_path / "bytes.toml")
    (tmp_path / "large.toml").write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(ConfigError, match="larger than"):
        Script.load(tmp_path / "large.toml")


def test_steps_come_when_they_are_due_in_the_order_of_their_times():
    player = Player(
        Script.parse(
            script(
                'at_ms = 200\nvenue = "kalshi"\nwhat = "garbage"',
                'at_ms = 100\nvenue = "kalshi"\nwhat = "stall"',
                'at_ms = 100\nvenue = "polymarket"\nwhat = "stall"',
            )
        )
    )
    names = [[(step.venue, step.fault.what) for step in player.due(START + ms)] for ms in (0, 99, 100, 5_000, 6_000)]
    assert names == [[], [], [("kalshi", "stall"), ("polymarket", "stall")], [("kalshi", "garbage")], []]


def test_a_step_comes_again_and_what_was_missed_comes_once():
    player = Player(Script.parse(script('at_ms = 100\nevery_ms = 1_000\nvenue = "kalshi"\nwhat = "garbage"')))
    assert [len(player.due(START + ms)) for ms in (0, 100, 1_099, 1_100, 9_999, 10_099, 10_100)] == [0, 1, 0, 1, 1, 0, 1]


def test_a_sandbox_plays_its_script_from_its_first_tick(world, public_pem, websocket, http):
    text = script(
        'at_ms = 1_000\nvenue = "polymarket"\nwhat = "garbage"',
        'at_ms = 1_500\nvenue = "kalshi"\nwhat = "answer-429"',
    )
    sandbox = Sandbox(world, {"key": public_pem}, script=Script.parse(text))
    sandbox.tick(START)
    client = websocket(sandbox.polymarket, "/ws/market")
    sandbox.tick(START + 999)
    client.pump()
    assert client.texts == []
    sandbox.tick(START + 1_000)
    client.pump()
    assert len(client.texts) == 1
    reader = http(sandbox.kalshi)
    assert reader.request("/trade-api/v2/exchange/status").status == 200
    sandbox.tick(START + 1_500)
    assert [reader.request("/trade-api/v2/exchange/status").status for _ in range(2)] == [429, 200]


def test_the_example_of_the_page_is_a_script_and_the_page_names_every_fault():
    page = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text()
    example = page.partition("```toml\n")[2].partition("```")[0]
    assert [step.fault.what for step in Script.parse(example).steps] == ["drop-frame", "answer-503"]
    assert {name for name in NOW | FRAMES | ANSWERS if f"`{name}`" not in page} == set()
