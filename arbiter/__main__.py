"""`python -m arbiter`."""

from arbiter.cli import main

if __name__ == "__main__":
    main()
