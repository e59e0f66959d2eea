"""Failed sign-ins: counted by address, bounded in memory and in work, and never in the way of who brings something valid."""

import pytest

from arbiter.errors import LimitExceeded, Unauthenticated
from arbiter.rpc import failures as module
from arbiter.rpc.failures import CHECKS_PER_SECOND, FAILURES_A_MINUTE, Failures, network_of

WRONG = Unauthenticated("wrong")


@pytest.fixture
def failures(clock):
    return Failures(clock.environment)


def exhaust(failures, peer):
    for _ in range(FAILURES_A_MINUTE):
        assert failures.charge(peer, WRONG) is WRONG


def test_after_too_many_the_answer_is_when_to_come_back(failures, clock):
    exhaust(failures, "1.2.3.4:5")
    refused = failures.charge("1.2.3.4:6", WRONG)
    assert isinstance(refused, LimitExceeded)
    assert 0 < refused.retry_after_ms <= 60_000
    assert failures.charge("1.2.3.5:5", WRONG) is WRONG
    clock.seconds += refused.retry_after_ms / 1000
    assert failures.charge("1.2.3.4:5", WRONG) is WRONG


def test_signatures_are_verified_freely_until_an_address_failed_too_often_and_then_a_few_a_second(failures, clock):
    for _ in range(1_000):
        failures.require_check("1.2.3.4:5")
    exhaust(failures, "1.2.3.4:5")
    for _ in range(CHECKS_PER_SECOND):
        failures.require_check("1.2.3.4:5")
    with pytest.raises(LimitExceeded):
        failures.require_check("1.2.3.4:5")
    failures.require_check("1.2.3.5:5")
    clock.seconds += 1
    failures.require_check("1.2.3.4:5")


def test_memory_is_bounded_and_who_failed_lately_is_not_forgotten(failures, monkeypatch):
    monkeypatch.setattr(module, "MOST_ADDRESSES", 10)
    exhaust(failures, "9.9.9.9")
    for number in range(100):
        failures.charge(f"1.2.3.{number}", WRONG)
        assert isinstance(failures.charge("9.9.9.9", WRONG), LimitExceeded)
    assert len(failures) == 10


@pytest.mark.parametrize(
    ("peer", "network"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("1.2.3.4:5678", "1.2.3.4"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2:9::4]:5678", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("", ""),
        ("unix:/run/arbiter.sock", "unix:/run/arbiter.sock"),
        ("x" * 1_000, "x" * 64),
    ],
)
def test_an_address_counts_without_its_port_and_an_ipv6_subscriber_as_one(peer, network):
    assert network_of(peer) == network
