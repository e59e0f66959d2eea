"""Ours: the production BotBridge under a supervisor, as `arbiter bot` runs it, with the Bot API's address given.

    python -m bench.bot_bridge_process SERVER CREDENTIAL API_URL TOKEN STATE_FOLDER [PROFILE_FILE]

Ends when standard input does.
"""

import cProfile
import sys
from pathlib import Path

import structlog
import trio

from arbiter.bot.bridge import BotBridge, BotSettings
from arbiter.runtime import Child, Environment, Group, Supervisor


async def main(server: str, credential: str, api_url: str, token: str, folder: str) -> None:
    environment = Environment.real()
    settings = BotSettings(
        token=token, credential=credential, server=server, api_url=api_url, state_folder=Path(folder), environment=environment
    )
    supervisor = Supervisor(Group("root", [Child("bot", lambda: BotBridge(settings))]), environment)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.run)
        await trio.to_thread.run_sync(sys.stdin.read)
        supervisor.stop()
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger("error"), logger_factory=structlog.PrintLoggerFactory(sys.stderr)
    )
    profiler = cProfile.Profile()
    if len(sys.argv) > 6:
        profiler.enable()
    trio.run(main, *sys.argv[1:6])
    profiler.disable()
    if len(sys.argv) > 6:
        profiler.dump_stats(sys.argv[6])
