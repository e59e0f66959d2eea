"""Connectors to the venues. `base.py` is the protocol the actors know; each venue's package implements it.

In a venue's package `wire.py` is pure (bytes <-> domain), `signing.py` pure, `client.py` does the I/O over a
`Network` that is handed in, so that the same code runs over sockets and, in tests, over memory.
"""
