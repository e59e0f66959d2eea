"""Whether silence may be asked about. Outlives the connections.

That the venue tells a book once more on a living subscription is not verified (B8). Where it never did, silence proves nothing: only the
first connections are given up for it.
"""

GIVEN_UP_FOR_IT = 2


class Probes:
    """What became of the questions so far."""

    def __init__(self) -> None:
        self._answered = False
        self._in_vain = 0

    @property
    def sensible(self) -> bool:
        """Whether to ask, and to take silence for an answer."""
        return self._answered or self._in_vain < GIVEN_UP_FOR_IT

    def answered(self) -> None:
        self._answered = True

    def in_vain(self) -> None:
        """A connection is given up because no answer came."""
        self._in_vain += 1
