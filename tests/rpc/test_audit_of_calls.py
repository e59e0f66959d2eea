"""The audit of the front: every operator's call is recorded with its caller, target and outcome; reads are counted."""

import grpc
import pytest
from purerpc import Service
from purerpc.rpc import Cardinality, RPCSignature

from arbiter.actors.auditor import Audit as Write
from arbiter.errors import NotFound
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
    class caller:  # noqa: N801
        user = "oz"


@pytest.fixture
def auditor():
    return Auditor()


@pytest.fixture
def audit(auditor, clock):
    return Audit(auditor, clock.environment)


def service_of(audit, name, call):
    service = Service("arbiter.v1.AdminService")
    service.add_method(name, call, RPCSignature(Cardinality.UNARY_UNARY, user_pb2.AuthRequest, user_pb2.AuthResponse))
    return audit.every_call(service).methods[name].method_fn


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
    async def call(message, request):
        return user_pb2.AuthResponse()

    read, change = service_of(audit, "ListActors", call), service_of(audit, "HaltAll", call)
    for _ in range(10):
        await read(user_pb2.AuthRequest(), Request())
        await change(user_pb2.AuthRequest(), Request())
    clock.seconds += 60
    await read(user_pb2.AuthRequest(), Request())
    assert [record.times for record in auditor.records if record.method.endswith("ListActors")] == [1, 10]
    assert len([record for record in auditor.records if record.method.endswith("HaltAll")]) == 10
    monkeypatch.setattr(module, "MOST_READERS", 5)
    for number in range(20):
        await read(user_pb2.AuthResponse(user_id=str(number)), Request())
    assert len(audit._reads) <= 5


async def test_operators_calls_stand_in_the_store_and_a_traders_refused_one_does_not(program, make_official, eventually):
    official = make_official(program.address)
    call = ("arbiter.v1.AdminService/ListActors", admin_pb2.ListActorsRequest(), admin_pb2.ListActorsResponse)
    metadata = (*program.bearer("operator"), ("x-correlation-id", "mine-1"))
    await official.call(*call, metadata=metadata)
    error = await official.refusal(*call, metadata=program.bearer("enterprise"))
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    (numbered,) = await program.store.audit_after(0, 10)
    record = numbered.record
    assert (record.who, record.method, record.correlation_id, record.outcome) == (
        *("operator", "arbiter.v1.AdminService/ListActors"),
        *("mine-1", "OK"),
    )
