"""What is durable. `base.py` says what a store must do; `sqlite.py` does it on disk, `memory.py` for tests."""
