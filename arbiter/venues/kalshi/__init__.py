"""Kalshi: REST for metadata, one WebSocket for books. Fact sheet parts B2 to B5, B8, B9."""
