"""What a client makes of values that only a newer server tells: the one that promises least, or an error of its own."""

import pytest

from arbiter.domain.order import OrderState
from arbiter.domain.trading_state import TradingState
from arbiter.rpc import client_read as read
from arbiter.rpc.client import ArbiterClientError, NewerServerError
from arbiter.v1 import admin_pb2, market_pb2, strategy_pb2, trading_pb2

NEW = 99


def order(**fields):
    known = {
        "side": market_pb2.SIDE_BUY,
        "state": trading_pb2.ORDER_STATE_OPEN,
        "time_in_force": market_pb2.TIME_IN_FORCE_GTC,
    }
    return read.order(trading_pb2.Order(order_id="a", **known | fields))


def test_an_order_in_a_new_state_is_not_taken_for_ended():
    assert (order(state=NEW).state, order(state=NEW).is_final) == (OrderState.UNKNOWN, False)


def test_an_order_of_a_new_kind_can_still_be_listed():
    assert order(time_in_force=NEW).tif is None


def test_an_opportunity_in_a_new_state_is_none_any_more():
    told = read.opportunity(strategy_pb2.ArbOpportunity(opportunity_id="a", state=NEW))
    assert (told.state, told.reason) == ("closed", read.UNKNOWN_STATE)


@pytest.mark.parametrize(
    "answer",
    [
        lambda: order(side=NEW),
        lambda: read.stop_report(trading_pb2.EmergencyStopResponse(state=NEW)),
        lambda: read.trading_state(trading_pb2.TradingStateResponse(state=NEW)),
        lambda: read.trading_state(trading_pb2.TradingStateResponse(state=trading_pb2.TRADING_STATE_ACTIVE, own_state=NEW)),
        lambda: read.halt_report(admin_pb2.HaltAllResponse(state=NEW)),
        lambda: read.user(admin_pb2.User(user_id="a", own_state=NEW)),
    ],
)
def test_what_cannot_be_guessed_is_an_error_that_says_what_to_do(answer):
    with pytest.raises(NewerServerError, match=r"\(99\) that this client does not know: it is newer; update the client") as caught:
        answer()
    assert isinstance(caught.value, ArbiterClientError)
    assert (caught.value.reason, caught.value.begun) == ("NEWER_SERVER", True)


def test_what_an_older_server_does_not_tell_is_no_error():
    halted = trading_pb2.TradingStateResponse(state=trading_pb2.TRADING_STATE_HALTED)
    assert read.trading_state(halted).own is TradingState.HALTED
    assert read.user(admin_pb2.User(user_id="a")).own_state is TradingState.ACTIVE
