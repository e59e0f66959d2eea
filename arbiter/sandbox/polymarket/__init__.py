"""A Polymarket that runs here: Gamma and CLOB reads and the market socket, as the fact sheet gives them."""
