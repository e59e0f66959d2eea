"""Python's cycle collector, kept out of the way: a full collection walks every object, and stops everything for 40 to 100 ms
once a few thousand books are in memory.

What lives as long as the program is set aside (`gc.freeze`), and what is young is looked at less often. Reference
counts free nearly all that the program drops; cycles come from exceptions and closed connections, a few an hour.
"""

import gc

import trio

SETTLED_SECONDS = 15.0
"""By then catalogues and books are in memory."""
THRESHOLDS = (20_000, 50, 100)
"""Young objects before a first look, and looks before the next generation's."""


def settle() -> None:
    """Collect once, then set aside what is left. Takes as long as one full collection."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


async def settle_later() -> None:
    """`settle` when the program has loaded what it keeps."""
    await trio.sleep(SETTLED_SECONDS)
    settle()
