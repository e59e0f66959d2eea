"""Shows the wallet, the open orders and what an outcome costs, in a script without trio; then waits for the next change of a position.

.venv/bin/python examples/plain_script.py 127.0.0.1:50051 var/sandbox_api_key
"""

import sys
from pathlib import Path

from arbiter.domain.money import format_dollars, format_micros
from arbiter.rpc.sync_client import ArbiterClientError, SyncArbiterClient


def main(server: str, key_file: str) -> None:
    with SyncArbiterClient.open(server) as client:
        client.authenticate(Path(key_file).read_text().strip())
        print(f"cash: {format_dollars(client.get_wallet().cash)}, open orders: {sum(not order.is_final for order in client.list_orders())}")
        market = client.search_markets(limit=1)[0]
        for ask in client.get_book(market.yes).asks[:3]:
            print(f"{market.title!r}: {format_micros(ask.size)} at {format_micros(ask.price)}")
        with client.stream_positions() as changes:
            print(f"positions: {len(next(changes).positions)}")
            print("no change within 1 s" if changes.wait(1) is None else "a position has changed")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:3])
    except (ArbiterClientError, OSError) as error:
        sys.exit(f"{error}; start it with ./just run")
    except KeyboardInterrupt:
        sys.exit(130)
