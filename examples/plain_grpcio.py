"""The API with nothing of Arbiter's but `proto/`: waits for an arbitrage opportunity, buys a little of its dearer leg, shows the position.

    .venv/bin/python examples/plain_grpcio.py [--server HOST:PORT] [--data DIR]

Needs a running `./just run`, and grpcio and grpcio-tools in the environment that it runs in. Here grpcio makes the modules from
`proto/` at each start; a program of your own has them made once:

    python -m grpc_tools.protoc -Iproto --python_out=OUT --pyi_out=OUT --grpc_python_out=OUT proto/arbiter/v1/*.proto
"""

import argparse
import json
import sys
import uuid
from pathlib import Path

import grpc

sys.path.append(str(Path(__file__).resolve().parents[1] / "proto"))
user, users = grpc.protos_and_services("arbiter/v1/user.proto")
trading, trades = grpc.protos_and_services("arbiter/v1/trading.proto")
strategy, strategies = grpc.protos_and_services("arbiter/v1/strategy.proto")
market = grpc.protos("arbiter/v1/market.proto")

MICRO = 1_000_000  # prices, sizes and amounts are integers of 10^-6
SECONDS = 10
CURE = "start it with ./just run, or name its folder with --data"
UNCERTAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DEADLINE_EXCEEDED)


def main(address: str, api_key: str) -> None:
    with grpc.insecure_channel(address) as channel:
        reply = users.UserServiceStub(channel).Authenticate(user.AuthRequest(api_key=api_key), timeout=SECONDS)
        token = (("authorization", f"Bearer {reply.access_token}"),)  # for 15 minutes
        opportunity = wait_for_opportunity(strategies.StrategyServiceStub(channel), token)
        # of two legs that cost nearly a dollar together one costs enough for any venue's smallest order
        leg = max(opportunity.legs, key=lambda leg: leg.limit_price_micros)
        print(f"{opportunity.title}: net {opportunity.net_micros / MICRO:.2f} dollars")
        service = trades.TradingServiceStub(channel)
        order = place(service, leg, 10 * MICRO, token)
        print(f"order {order.order_id}: {trading.OrderState.Name(order.state)}, {order.filled_micros / MICRO:g} filled")
        for position in service.GetPositions(trading.PositionsRequest(), metadata=token, timeout=SECONDS).positions:
            pnl = position.realised_pnl_micros + position.unrealised_pnl_micros
            print(f"position: {position.size_micros / MICRO:g} x {position.label} of {position.title!r}, P&L {pnl / MICRO:+.2f}")


def wait_for_opportunity(service, token):
    """The first that is open. A stream has no deadline; cancelling it ends the work on the server."""
    print("waiting for an opportunity ...")
    changes = service.GetArbOpportunities(strategy.ArbRequest(), metadata=token)
    for change in changes:
        if change.state != strategy.OPPORTUNITY_STATE_CLOSED:
            changes.cancel()
            return change
    raise AssertionError("the stream ends with an error or not at all")


def place(service, leg, size: int, token):
    """Buy at once or not at all. One key for all attempts: the server answers each with the same order and never buys twice."""
    request = trading.OrderRequest(
        idempotency_key=str(uuid.uuid4()),
        outcome=leg.outcome,
        side=market.SIDE_BUY,
        price_micros=leg.limit_price_micros,
        size_micros=size,
        time_in_force=market.TIME_IN_FORCE_IOC,
    )
    for _ in range(2):
        try:
            return service.PlaceOrder(request, metadata=token, timeout=SECONDS).order
        except grpc.RpcError as error:
            if error.code() not in UNCERTAIN:
                raise
    return service.PlaceOrder(request, metadata=token, timeout=SECONDS).order


def explained(error: grpc.RpcError) -> str:
    """One line. The trailer `arbiter-reason` is for programs, the text for people."""
    reason = dict(error.trailing_metadata() or ()).get("arbiter-reason")
    if error.code() is grpc.StatusCode.UNAVAILABLE and reason is None:
        return f"no Arbiter answers; {CURE}"
    return f"{error.details()} ({reason or error.code().name})"


def find(folder: Path, server: str | None) -> tuple[str, str]:
    """Where the program listens, and an API key for it: it leaves both in its data folder."""
    try:
        address = server or json.loads((folder / "running.json").read_text())["grpc"]
        return address, (folder / "sandbox_api_key").read_text().strip()
    except (OSError, ValueError, KeyError, TypeError):
        sys.exit(f"no Arbiter is running on the data folder {folder}; {CURE}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="./var", help="data folder of the running program")
    parser.add_argument("--server", help="host:port; default: as the data folder says")
    arguments = parser.parse_args()
    try:
        main(*find(Path(arguments.data), arguments.server))
    except grpc.RpcError as error:
        sys.exit(explained(error))
    except KeyboardInterrupt:
        sys.exit(130)
