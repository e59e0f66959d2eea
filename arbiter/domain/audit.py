"""The audit: who did what of consequence, to whom, when, and what came of it. Records are kept and never changed."""

import msgspec

OK = "OK"
LONGEST_NAME = 100
LONGEST_TARGET = 200


class AuditRecord(msgspec.Struct, frozen=True):
    """One entry. Made by `record`, which keeps every text short and on one line.

    `at_ms`: UTC. `who`: a user's id, or `bot`, or empty where nobody was known. `method`: what was called or what
    happened. `target`: the user, pair or key that it was about; never a secret. `outcome`: `OK`, or the reason code of
    what it ended with. `times`: how many such calls this record stands for; what only repeats is counted, not listed.
    """

    at_ms: int
    who: str
    method: str
    target: str
    correlation_id: str
    outcome: str
    times: int = 1


class NumberedAudit(msgspec.Struct, frozen=True):
    """An audit record and its place in the order in which records became durable, from 1."""

    sequence: int
    record: AuditRecord


def record(at_ms: int, who: str, method: str, target: str, correlation_id: str, outcome: str, times: int = 1) -> AuditRecord:
    """A record whose texts are cut and escaped: what a caller sent may stand in them."""
    return AuditRecord(
        at_ms,
        _line(who, LONGEST_NAME),
        _line(method, LONGEST_NAME),
        _line(target, LONGEST_TARGET),
        _line(correlation_id, LONGEST_NAME),
        _line(outcome, LONGEST_NAME),
        times,
    )


def _line(text: str, longest: int) -> str:
    cut = text[: longest + 1]
    if not cut.isprintable():
        cut = "".join(each if each.isprintable() else "?" for each in cut)
    return cut if len(cut) <= longest else cut[: longest - 1] + "…"
