"""What a person reads of an error."""

import pytest

from arbiter.errors import ActorStopped, LimitExceeded, NotRunning


@pytest.mark.parametrize(
    ("wait_ms", "told"), [(0, "0.1"), (1, "0.1"), (12, "0.1"), (100, "0.1"), (101, "0.2"), (250, "0.3"), (1000, "1.0"), (59_999, "60.0")]
)
def test_a_limit_never_asks_anybody_back_too_early_or_in_no_time(wait_ms, told):
    assert str(LimitExceeded("too much", wait_ms)) == f"too much; try again in {told} s"


def test_one_that_is_not_running_is_told_as_such_and_one_that_died_as_unknown():
    assert "nothing was sent" in str(NotRunning("sessions"))
    assert "unknown" not in str(NotRunning("sessions"))
    assert str(ActorStopped("sessions")).endswith("whether the request took effect is unknown")
