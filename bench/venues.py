"""What a venue's market data costs, how soon it is whole again, and what an order costs to sign.

    ./just bench venues [--quick] [--only NAME]

Each part is a file of its own, `venues_NAME.py`, whose `measure(quick=...)` returns its figures and which says what to reach in
`TARGETS`:

- `reconnect`: from a lost connection, or a gap in Kalshi's sequence, to fresh books of 1,000 markets. The sandbox's venues are
  another process, on loopback.
- `polymarket`: a `price_change` frame beyond its decoding, and the memory of a followed token.
- `kalshi`: an `orderbook_delta` frame beyond its decoding.
- `signing`: a Polymarket order, from price and size to a signed request, beside eth-account.
"""

import argparse
from types import ModuleType
from typing import Any

import structlog

from bench import venues_kalshi, venues_polymarket, venues_reconnect, venues_signing
from bench.report import finish

PARTS: dict[str, ModuleType] = {
    "polymarket": venues_polymarket,
    "kalshi": venues_kalshi,
    "signing": venues_signing,
    "reconnect": venues_reconnect,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, for a look")
    parser.add_argument("--only", choices=PARTS, help="this part alone")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))
    print(__doc__)
    figures: dict[str, Any] = {"quick": arguments.quick}
    targets: dict[str, str] = {}
    for name, part in PARTS.items():
        if arguments.only in (None, name):
            print(f"{name}:", flush=True)
            figures |= part.measure(quick=arguments.quick)
            targets |= part.TARGETS
    finish("venues", figures, targets)


if __name__ == "__main__":
    main()
