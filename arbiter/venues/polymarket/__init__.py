"""Polymarket (international, CLOB): Gamma for metadata, the market socket for books. Fact sheet parts A2, A4, A7, A8."""
