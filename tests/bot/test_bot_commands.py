"""Commands as people type them, on the whole core; what is sent is read off a Bot API in memory."""

from typing import Any


async def test_each_command_answers_the_linked(linked: Any) -> None:
    for name in ("start", "help", "home", "status", "positions", "wallet", "arb", "copy", "settings", "stop", "resume", "unlink"):
        answer = await linked.say(f"/{name}")
        print(answer, end="\n\n")
        assert answer, name
