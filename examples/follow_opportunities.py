"""Follows the arbitrage opportunities for as long as it runs, over lost connections and restarts of the server too. On trio.

.venv/bin/python examples/follow_opportunities.py 127.0.0.1:50051 var/sandbox_api_key
"""

import sys
from pathlib import Path

import trio

from arbiter.domain.money import format_dollars
from arbiter.rpc.client import ArbiterClient, ArbiterClientError


async def main(server: str, api_key: str) -> None:
    async with ArbiterClient.open(server) as client:
        await client.authenticate(api_key)
        async with client.stream_opportunities() as changes:
            async for change in changes:
                why = f" ({change.reason})" if change.reason else ""
                print(f"{change.state} {change.title}: net {format_dollars(change.net)}{why}, {len(changes.view)} open", flush=True)


if __name__ == "__main__":
    try:
        trio.run(main, sys.argv[1], Path(sys.argv[2]).read_text().strip())
    except (ArbiterClientError, OSError) as error:
        sys.exit(f"{error}; start it with ./just run")
    except KeyboardInterrupt:
        sys.exit(130)
