import pytest

from arbiter.domain.freshness import is_fresh

FRESH = {"trusted": True, "connected": True, "alive_at": 100.0, "proved_at": None, "now": 112.0, "limit": 12.0}


@pytest.mark.parametrize(
    ("change", "fresh"),
    [
        ({}, True),
        ({"now": 112.001}, False),
        ({"trusted": False}, False),
        ({"connected": False}, False),
        ({"proved_at": 100.0}, True),
        ({"proved_at": 99.9}, False),
        ({"proved_at": 111.0}, True),
        ({"proved_at": 111.0, "alive_at": 99.9}, False),
        ({"limit": 13.0, "now": 113.0}, True),
    ],
)
def test_a_book_is_fresh_by_unbroken_book_live_line_and_where_asked_a_proof_of_its_own(change, fresh):
    assert is_fresh(**(FRESH | change)) is fresh
