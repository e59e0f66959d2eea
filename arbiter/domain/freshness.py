"""When a book may be acted on. One rule for the scanner, the risk gate and the paper desk.

Fresh means an unbroken book and proof of life within the limit, not the age of the last change: a quiet market's book is as
true as a busy one's. What counts as proof differs (`Capabilities.line_proves_books`): where a live connection proves all
its books, its ping and pong suffice; where it does not, because connections have been seen to answer pings and tell
nothing more, the book itself must have been proved too, by a frame of its own or by a REST read that agrees with it.
"""


def is_fresh(*, trusted: bool, connected: bool, alive_at: float, proved_at: float | None, now: float, limit: float) -> bool:
    """`alive_at`: when the book's line last proved to be alive; `proved_at`: when the book itself did, None where the line's
    life proves it. All in monotonic seconds."""
    if not (trusted and connected):
        return False
    oldest = alive_at if proved_at is None else min(alive_at, proved_at)
    return now - oldest <= limit
