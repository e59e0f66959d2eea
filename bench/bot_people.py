"""Who writes to the bots: in groups, each person with a chat and an account of their own. No more than names."""

CHATS = 50
COMMAND = "/status"
CONCURRENCY = 32
"""Updates that the reference handles at once: as many as ours."""


def names(group: int) -> list[str]:
    """The people of a group."""
    return [f"Person {group}-{number}" for number in range(CHATS)]
