"""Arbiter: a trading control plane for prediction markets.

Where to find what (imports point down only, `tests/test_imports.py` enforces it):

    cli.py      the commands a person types          app.py     composition root: the supervision tree
    rpc/ bot/ web/   the fronts, each an actor       actors/    one actor a file, its messages on top
    venues/     connectors: wire formats and I/O     store/     what is durable
    domain/     pure: money, books, orders, fees     runtime/   the actor mechanism, knows no trading
    sandbox/    stand-in venues on real protocols    errors.py  one error tree, classed by reaction
"""

__version__ = "0.1.0"
