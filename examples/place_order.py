"""Waits for an arbitrage opportunity, buys a little of its dearer leg, and shows the position.

    .venv/bin/python examples/place_order.py [--server HOST:PORT] [--data DIR]

Needs a running `./just run`; the API key is read from its data folder.
"""

import argparse
import json
import sys
import uuid
from pathlib import Path

import trio

from arbiter.domain.book import Side
from arbiter.domain.money import MICRO, format_dollars, format_micros
from arbiter.rpc.client import ArbiterClient, ArbiterClientError, NotConnected

TEN = 10 * MICRO
CURE = "start it with ./just run, or name its folder with --data"


async def main(server: str, api_key: str) -> None:
    async with ArbiterClient.open(server) as client:
        await client.authenticate(api_key)
        print("waiting for an opportunity ...")
        async with client.stream_opportunities() as changes:
            async for change in changes:
                if change.state != "closed":
                    break
        # of two legs that cost nearly a dollar together one costs enough for any venue's smallest order
        leg = max(change.legs, key=lambda leg: leg.limit)
        print(f"{change.title}: net {format_dollars(change.net)} for {format_micros(change.size)} contracts")
        print(f"buying 10 x {leg.label} at up to {format_micros(leg.limit)} on {leg.outcome.venue}")
        # the same key on a retry returns the same order, so nothing is ever bought twice
        order = await client.place_order(leg.outcome, Side.BUY, leg.limit, TEN, idempotency_key=str(uuid.uuid4()))
        reason = f", {order.reason}" if order.reason else ""
        print(f"order {order.order_id}: {order.state.value}, {format_micros(order.filled)} filled{reason}")
        for position in await client.get_positions():
            print(f"position: {format_micros(position.size)} x {position.label} of {position.title!r}, P&L {format_dollars(position.pnl)}")


def find(folder: Path, server: str | None) -> tuple[str, str]:
    """Where the program listens, and an API key for it: it leaves both in its data folder."""
    try:
        address = server or json.loads((folder / "running.json").read_text())["grpc"]
        return address, (folder / "sandbox_api_key").read_text().strip()
    except FileNotFoundError:
        sys.exit(f"no Arbiter is running on the data folder {folder}; {CURE}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.exit(f"what lies in the data folder {folder} cannot be read: {error}; {CURE}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="./var", help="data folder of the running program")
    parser.add_argument("--server", help="host:port; default: as the data folder says")
    arguments = parser.parse_args()
    try:
        trio.run(main, *find(Path(arguments.data), arguments.server))
    except ArbiterClientError as error:
        sys.exit(f"{error}; {CURE}" if isinstance(error, NotConnected) else str(error))
    except KeyboardInterrupt:
        sys.exit(130)
