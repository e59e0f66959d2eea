"""What a frame costs beyond its decoding: rounds of a hundred new frames, decoded alone and taken in whole, in turn.

Of each the best round counts: that is what the code costs when nobody else has the core.
"""

import time
from collections.abc import Callable, Sequence

FRAMES = 100
ROUNDS, QUICK_ROUNDS = 3_000, 500


def over_decode_us(
    decode: Callable[[bytes], object], take: Callable[[bytes], object], texts: Callable[[], Sequence[bytes]], *, quick: bool
) -> tuple[float, float]:
    """(beyond the decoding, the decoding alone), in microseconds a frame. `texts` makes a round's frames, in time that is not counted."""
    bare = whole = float("inf")
    for _ in range(QUICK_ROUNDS if quick else ROUNDS):
        made = texts()
        bare = min(bare, _seconds(decode, made) / len(made))
        whole = min(whole, _seconds(take, made) / len(made))
    return (whole - bare) * 1e6, bare * 1e6


def _seconds(work: Callable[[bytes], object], texts: Sequence[bytes]) -> float:
    began = time.perf_counter()
    for text in texts:
        work(text)
    return time.perf_counter() - began
