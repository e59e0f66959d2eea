"""Audit records: short, on one line, whatever a caller sent."""

from arbiter.domain.audit import LONGEST_NAME, LONGEST_TARGET, record


def test_short_texts_stay_as_they_are():
    made = record(7, "ann", "arbiter.v1.AdminService/SetTier", "bob", "tg-1", "OK")
    assert (made.at_ms, made.who, made.target, made.correlation_id, made.outcome, made.times) == (7, "ann", "bob", "tg-1", "OK", 1)


def test_long_texts_are_cut_and_what_cannot_be_printed_is_replaced():
    made = record(7, "a" * 10_000, "method\n2026 forged line", "\x1b[31m" + "t" * 10_000, "c", "OK")
    assert len(made.who) == LONGEST_NAME
    assert made.who.endswith("a…")
    assert made.method == "method?2026 forged line"
    assert len(made.target) == LONGEST_TARGET
    assert "\x1b" not in made.target
