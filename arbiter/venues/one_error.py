"""Tasks that watch one connection end together, for one reason: their exception group becomes that one error."""

from collections.abc import Iterator
from contextlib import contextmanager

from arbiter.errors import VenueUnavailable


@contextmanager
def one_error() -> Iterator[None]:
    """Turns a group of VenueUnavailable into the first of them; a group with anything else in it keeps only that."""
    try:
        yield
    except BaseExceptionGroup as group:
        lost, others = group.split(VenueUnavailable)
        if others is not None:
            # A cancellation or a bug says more than the loss that came along with it.
            raise others from None
        assert lost is not None
        raise _first(lost) from None


def _first(group: BaseExceptionGroup[VenueUnavailable]) -> VenueUnavailable:
    error = group.exceptions[0]
    return error if isinstance(error, VenueUnavailable) else _first(error)
