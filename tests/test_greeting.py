"""What is printed at the start: above all that the commands in it can be typed as they stand."""

import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from arbiter.config import Settings
from arbiter.greeting import ROOT, Started, greeting


@pytest.fixture
def commands():
    """The words of the printed commands `Look` and `Call`, started on this data folder."""

    def read(data: str) -> tuple[list[str], list[str]]:
        known = {"folder": Path(data), "address": "127.0.0.1:1"}
        text = greeting(Settings(data=data), Started(**{field.name: known.get(field.name, "") for field in fields(Started)}))
        look, call = (re.search(rf"^  {word} +(.+)$", text, re.MULTILINE) for word in ("Look", "Call"))
        assert look is not None
        assert call is not None
        return shlex.split(look[1]), shlex.split(call[1])

    return read


@pytest.mark.parametrize("data", ["var", "/srv/data", "my data", "it's"])
def test_in_the_checkout_the_commands_name_the_data_folder_whatever_it_is_called(commands, monkeypatch, data):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "executable", str(ROOT / ".venv/bin/python"))
    look, call = commands(data)
    assert look == ["./just", "watch", "--data", data]
    assert call == [".venv/bin/python", "examples/place_order.py", "--server", "127.0.0.1:1", "--data", data]


def test_elsewhere_they_name_what_they_need_in_full(commands, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    look, call = commands("data")
    assert look == [sys.executable, "-m", "arbiter", "watch", "--data", "data"]
    assert call[:2] == [sys.executable, str(ROOT / "examples/place_order.py")]
    assert Path(call[1]).is_file()


def test_the_command_for_the_bot_that_is_not_run_works_when_it_is_pasted_into_a_shell(monkeypatch, tmp_path):
    """With blanks and quotes in every path; a stand-in for Python tells what reaches it."""
    place = tmp_path / "it's a place"
    place.mkdir()
    python, token_file = place / "python", place / "a token"
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$TELEGRAM_BOT_TOKEN" "$@"\n')
    python.chmod(0o755)
    token_file.write_text("123:abc\n")
    monkeypatch.setattr(sys, "executable", str(python))
    chat = "http://127.0.0.1:2"
    text = greeting(Settings(bot=False), Started(place, "127.0.0.1:1", "sandbox", "token", chat, "", token_file))
    (line,) = [line for line in text.splitlines() if "TELEGRAM_BOT_TOKEN=" in line]
    ran = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=20, check=True)
    reached = ["123:abc", "-m", "arbiter", "bot", "--server", "127.0.0.1:1", "--telegram-api-url", chat, "--data", str(place)]
    assert ran.stdout.splitlines() == reached
