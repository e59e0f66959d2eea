"""The audit of the front: every operator's call is recorded with its caller, target and outcome; reads are counted."""

from contextlib import suppress

import grpc
import pytest
import trio
from purerpc import Service
from purerpc.rpc import Cardinality, RPCSignature

from arbiter.actors.auditor import Audit as Write
from arbiter.domain.audit import record
from arbiter.errors import LimitExceeded, NotFound
from arbiter.rpc import audit as module
from arbiter.rpc.audit import Audit
from arbiter.runtime.correlation import caused_by
from arbiter.v1 import admin_pb2, user_pb2


class Auditor:
    """Takes what is asked and offered."""

    def __init__(self):
        self.records = []

    async def ask(self, request, *, timeout):  # noqa: ASYNC109 as a ref has it
        assert isinstance(request, Write)
        self.records.append(request.record)

    def offer(self, message):
        self.records.append(message.record)
        return True


class Request:
    changed = False

    class caller:  # noqa: N801
        user = "oz"


@pytest.fixture
def auditor():
    return Auditor()


@pytest.fixture
def audit(auditor, clock):
    return Audit(auditor, clock.environment)


def service_of(audit, name, call, **options):
    service = Service("arbiter.v1.AdminService")
    service.add_method(name, call, RPCSignature(Cardinality.UNARY_UNARY, user_pb2.AuthRequest, user_pb2.AuthResponse))
    return audit.every_call(service, **options).methods[name].method_fn


def told(auditor):
    """Who, which method, how it ended and how often; forgotten then."""
    records, auditor.records = auditor.records, []
    return [(each.who, each.method.rpartition("/")[2], each.outcome, each.times) for each in records]


async def answer(message, request):
    return user_pb2.AuthResponse()


async def test_a_call_is_recorded_with_what_its_reply_names_and_the_id_it_was_caused_by(audit, auditor):
    async def call(message, request):
        return user_pb2.AuthResponse(user_id="new")

    with caused_by("tg-7"):
        await service_of(audit, "CreateUser", call)(user_pb2.AuthRequest(), Request())
    (record,) = auditor.records
    assert (record.who, record.method, record.target) == ("oz", "arbiter.v1.AdminService/CreateUser", "new")
    assert (record.correlation_id, record.outcome, record.times) == ("tg-7", "OK", 1)


async def test_what_a_request_names_is_the_target_also_where_the_call_fails(audit, auditor):
    async def call(message, request):
        raise NotFound("no such account")

    with pytest.raises(NotFound):
        await service_of(audit, "SetTier", call)(user_pb2.AuthResponse(user_id="bob"), Request())
    (record,) = auditor.records
    assert (record.target, record.outcome) == ("bob", "NOT_FOUND")


async def test_a_bug_is_recorded_too(audit, auditor):
    async def call(message, request):
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        await service_of(audit, "SetTier", call)(user_pb2.AuthRequest(), Request())
    assert auditor.records[0].outcome == "INTERNAL"


async def test_reads_that_are_repeated_are_counted_and_changes_are_all_recorded(audit, auditor, clock, monkeypatch):
    read, change = service_of(audit, "ListActors", answer), service_of(audit, "SetTier", answer)
    for _ in range(10):
        await read(user_pb2.AuthRequest(), Request())
        await change(user_pb2.AuthRequest(), Request())
    clock.seconds += 60
    await read(user_pb2.AuthRequest(), Request())
    assert [record.times for record in auditor.records if record.method.endswith("ListActors")] == [1, 10]
    assert len([record for record in auditor.records if record.method.endswith("SetTier")]) == 10


async def test_what_was_counted_is_told_also_where_nothing_like_it_comes_any_more(audit, auditor, clock):
    read = service_of(audit, "ListActors", answer)
    for _ in range(10):
        await read(user_pb2.AuthRequest(), Request())
    audit.tell_counted(clock.seconds)
    assert told(auditor) == [("oz", "ListActors", "OK", 1)]
    clock.seconds += 60
    audit.tell_counted(clock.seconds)
    audit.tell_counted(clock.seconds)
    assert told(auditor) == [("oz", "ListActors", "OK", 9)]
    await read(user_pb2.AuthRequest(), Request())
    await read(user_pb2.AuthRequest(), Request())
    audit.tell_counted()  # at the end
    assert told(auditor) == [("oz", "ListActors", "OK", 1)] * 2


async def test_of_more_kinds_than_are_kept_the_number_is_told(audit, auditor, clock, monkeypatch):
    monkeypatch.setattr(module, "MOST_KINDS", 5)
    audit = Audit(auditor, clock.environment)
    read = service_of(audit, "ListActors", answer)
    for number in range(20):
        for _ in range(3):
            await read(user_pb2.AuthResponse(user_id=str(number)), Request())
    assert len(audit._reads) == 5
    auditor.records.clear()
    audit.tell_counted(clock.seconds)
    assert told(auditor) == [("", module.UNLISTED, "OK", 15 * 2)]


async def test_a_flood_of_stops_is_counted_and_each_that_changed_something_stands_alone(audit, auditor, clock):
    def request(*, changed=False):
        made = Request()
        made.changed = changed
        return made

    halt = service_of(audit, "HaltAll", answer, stops={"HaltAll"})
    for changed in (True, *[False] * 500, True, *[False] * 500):
        await halt(user_pb2.AuthRequest(), request(changed=changed))
    assert told(auditor) == [("oz", "HaltAll", "OK", 1)] * 3
    clock.seconds += module.STOP_SECONDS
    audit.tell_counted(clock.seconds)
    assert told(auditor) == [("oz", "HaltAll", "OK", 999)]


async def test_a_flood_of_stops_that_are_cancelled_is_counted_too(audit, auditor):
    async def call(message, request):
        await trio.sleep_forever()

    halt = service_of(audit, "HaltAll", call, stops={"HaltAll"})
    for _ in range(100):
        with trio.CancelScope() as scope:
            scope.cancel()
            await halt(user_pb2.AuthRequest(), Request())
    assert told(auditor) == [("oz", "HaltAll", "CANCELLED", 1)]


def test_a_flood_of_refused_calls_is_one_record_a_minute_for_each_caller_method_and_reason(audit, auditor, clock):
    service_of(audit, "SetTier", answer)
    for _ in range(10_000):
        audit.refused("bob", "arbiter.v1.AdminService/SetTier", "NOT_ALLOWED")
    audit.refused("bob", "arbiter.v1.AdminService/SetTier", "LIMIT_EXCEEDED")
    assert told(auditor) == [("bob", "SetTier", "NOT_ALLOWED", 1), ("bob", "SetTier", "LIMIT_EXCEEDED", 1)]
    clock.seconds += module.REFUSED_SECONDS
    audit.tell_counted(clock.seconds)
    assert told(auditor) == [("bob", "SetTier", "NOT_ALLOWED", 9_999)]


def test_names_that_a_caller_makes_up_are_one_kind(audit, auditor):
    for number in range(100):
        audit.refused("bob", f"arbiter.v1.AdminService/{number}", "NOT_ALLOWED")
    assert told(auditor) == [("bob", "?", "NOT_ALLOWED", 1)]


def test_refused_calls_of_a_crowd_beyond_a_rate_are_counted_together(audit, auditor, clock):
    for number in range(10_000):
        audit.refused(f"user {number}", "arbiter.v1.AdminService/SetTier", "NOT_ALLOWED")
    assert len(told(auditor)) == module.REFUSED_A_MINUTE
    assert len(audit._refused) == module.MOST_KINDS
    audit.tell_counted(clock.seconds)
    assert told(auditor) == [("", module.UNLISTED, "OK", 10_000 - module.REFUSED_A_MINUTE)]


async def written(program):
    """What is in the store of all that was told until now."""
    await program.arbiter.core.auditor.ask(Write(record(1, "", "last", "", "", "OK")), timeout=5)
    return [each.record for each in await program.store.audit_after(0, 200)][:-1]


async def test_operators_calls_stand_in_the_store_and_those_that_the_gate_refused(program, make_official, eventually):
    official = make_official(program.address)
    call = ("arbiter.v1.AdminService/ListActors", admin_pb2.ListActorsRequest(), admin_pb2.ListActorsResponse)
    metadata = (*program.bearer("operator"), ("x-correlation-id", "mine-1"))
    await official.call(*call, metadata=metadata)
    for _ in range(5):
        error = await official.refusal(*call, metadata=(*program.bearer("enterprise"), ("x-correlation-id", "theirs-1")))
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    found = await written(program)
    assert [(each.who, each.method, each.correlation_id, each.outcome) for each in found] == [
        ("operator", "arbiter.v1.AdminService/ListActors", "mine-1", "OK"),
        ("enterprise", "arbiter.v1.AdminService/ListActors", "theirs-1", "NOT_ALLOWED"),
    ]


async def test_a_rate_that_an_operator_went_over_is_in_the_audit(program):
    with suppress(LimitExceeded):
        for _ in range(10_000):
            program.arbiter.front.gate.admit("arbiter.v1.AdminService", "ListActors", program.bearer("operator"))
    assert [(each.who, each.outcome) for each in await written(program)] == [("operator", "LIMIT_EXCEEDED")]


async def test_a_hundred_stops_of_everybody_are_three_records_and_the_first_stands_alone(program, make_official):
    official = make_official(program.address)
    call = ("arbiter.v1.AdminService/HaltAll", admin_pb2.HaltAllRequest(), admin_pb2.HaltAllResponse)
    for _ in range(100):
        await official.call(*call, metadata=program.bearer("operator"))
    program.arbiter.front.audit.tell_counted()
    assert [each.times for each in await written(program)] == [1, 1, 98]
