"""The core that both bots ask: the real tree with its sandbox venues, its gRPC front, and an account for each of the people.

    python -m bench.bot_core_process DATA_FOLDER GROUPS

Prints its address and the bots' credential; then, for each line on standard input, how many calls ended with which status.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import structlog
import trio

from arbiter.actors.accounts import PutNewAccount
from arbiter.app import Arbiter, compose
from arbiter.config import Settings
from arbiter.data_folder import DataFolder
from arbiter.domain.account import Account, TelegramLink, Tier
from arbiter.domain.ids import UserId
from arbiter.instance import load_keys
from arbiter.rpc import server, server_connection
from arbiter.rpc.listener import open_listener, port_of
from arbiter.runtime import Environment
from arbiter.sandbox.faults import Script
from arbiter.sandbox.telegram.people import person
from arbiter.simulated import fresh_seconds, make_world, start_venues
from arbiter.store.sqlite import SqliteStore
from bench.bot_people import names

ENDED: Counter[str] = Counter()


class CountingConnection(server_connection.ServerConnection):
    """A connection of the front, and how its calls ended."""

    async def _outcome(self, *arguments: Any) -> Any:
        outcome = await super()._outcome(*arguments)
        ENDED["OK" if outcome[0] is None else outcome[0].status_code.name] += 1
        return outcome


async def open_accounts(arbiter: Arbiter, groups: int) -> None:
    """One of the highest tier for each person, linked to their Telegram."""
    for group in range(groups):
        for number, name in enumerate(names(group)):
            link = TelegramLink(person(name).id, name, 0)
            account = Account(UserId(f"bench-{group}-{number}"), name, Tier.ENTERPRISE, telegram=link)
            await arbiter.core.accounts.ask(PutNewAccount(account), timeout=30.0)


async def main(path: Path, groups: int) -> None:
    settings, environment, folder = Settings(data=str(path)), Environment.real(), DataFolder(path)
    world = await make_world(settings, environment.unix_ms())
    with folder.hold(settings.mode):
        listener = await open_listener("localhost", 0)
        keys, credential = load_keys(folder, settings.mode)
        store = SqliteStore(folder.database)
        await store.open()
        async with listener, trio.open_nursery() as nursery:
            venues = await start_venues(world, Script(), environment, nursery, settings)
            arbiter = compose(environment, store, venues, world.pairs, keys, listener, fresh_seconds=fresh_seconds(world, settings))
            await nursery.start(arbiter.supervisor.run)
            await open_accounts(arbiter, groups)
            print(json.dumps({"server": f"127.0.0.1:{port_of(listener)}", "credential": credential}), flush=True)
            while await trio.to_thread.run_sync(sys.stdin.readline):
                print(json.dumps(ENDED), flush=True)
            arbiter.supervisor.stop()
            nursery.cancel_scope.cancel()
        await store.close()


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))
    server.ServerConnection = CountingConnection  # type: ignore[misc]
    trio.run(main, Path(sys.argv[1]), int(sys.argv[2]))
