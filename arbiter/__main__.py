"""`arbiter` and `python -m arbiter`: what a signal does before the program can take it in order, then the command."""

import _signal  # type: ignore[import-not-found]  # `signal` without its enums, whose import takes a part of the start that a signal may fall into
import atexit
import os
import sys

SERVING = {"run", "bot", "record"}
"""The commands that end with status 0 when a signal stops them."""


def main() -> None:
    """Run the command that was typed."""
    if not SERVING.isdisjoint(sys.argv[1:2]):
        _end_on_signals()
    # not at the top: importing it takes a part of the start that a signal may fall into
    try:
        from arbiter import cli
    except KeyboardInterrupt:
        sys.exit(130)  # as `cli.main` says it of a command that does not serve
    cli.main()


def _end_on_signals() -> None:
    """SIGINT and SIGTERM leave at once, which is clean: `start.py` listens for them from before it begins anything until all is ended.

    A KeyboardInterrupt instead would come up as a traceback of whatever import or nursery it hit; and a shell starts what it puts
    into the background with SIGINT ignored.
    """
    for number in (_signal.SIGINT, _signal.SIGTERM):
        _signal.signal(number, lambda *_: os._exit(0))
        # Python, when it ends, puts the system's own answer back: a second Ctrl-C would then change the status
        atexit.register(_signal.signal, number, _signal.SIG_IGN)


if __name__ == "__main__":
    main()
