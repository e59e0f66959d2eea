"""A Kalshi that runs here: public reads and the WebSocket with its public channels, as the fact sheet gives them."""
