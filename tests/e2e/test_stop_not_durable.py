"""A stop while the database takes nothing, and a kill of the program before it does: the real files, the real signals."""

import time
from collections.abc import Callable

import apsw
import grpc
import pytest

from arbiter.v1 import strategy_pb2, trading_pb2
from tests.e2e.conftest import Official, Program


def test_a_stop_that_the_database_could_not_take_holds_after_a_kill_and_is_reported_in_time(
    start: Callable[..., Program], connect: Callable[[str], Official]
) -> None:
    program = start()
    client = connect(program.address)
    client.use(program.token)
    database = apsw.Connection(str(program.data / "arbiter.db"))
    database.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    report = client.unary("TradingService/EmergencyStop", trading_pb2.EmergencyStopRequest(), trading_pb2.EmergencyStopResponse)
    assert time.monotonic() - began < 5.5
    assert (report.state, report.durable) == (trading_pb2.TRADING_STATE_HALTED, False)
    program.kill()
    database.execute("ROLLBACK")
    assert list(database.execute("SELECT * FROM trading_statuses")) == []
    database.close()

    again = start()
    client = connect(again.address)
    client.use(again.token)
    with pytest.raises(grpc.RpcError) as refused:
        client.unary("StrategyService/EnableStrategy", strategy_pb2.StrategyRequest(name="arbitrage"), strategy_pb2.StrategyResponse)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert dict(refused.value.trailing_metadata())["arbiter-reason"] == "TRADING_HALTED"
    marker, deadline = again.data / "stops_not_in_the_database.json", time.monotonic() + 10
    durable = False
    while not durable or marker.exists():
        assert time.monotonic() < deadline
        stop = trading_pb2.EmergencyStopRequest()
        durable = client.unary("TradingService/EmergencyStop", stop, trading_pb2.EmergencyStopResponse).durable
