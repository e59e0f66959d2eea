"""Recorded frames as venues: the production connectors with a recording where the network would be."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

import msgspec
import trio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from arbiter.domain.ids import KALSHI, POLYMARKET
from arbiter.domain.money import Micros
from arbiter.domain.pair import Pair
from arbiter.errors import ConfigError
from arbiter.frames.file import FramesFile
from arbiter.frames.lines import Header
from arbiter.frames.playback import Playback
from arbiter.frames.venue_side import Answer, Asked
from arbiter.runtime import Environment
from arbiter.sandbox.http import App, Request, Response
from arbiter.sandbox.kalshi.auth import Authenticator
from arbiter.sandbox.kalshi.engine import KalshiEngine
from arbiter.sandbox.polymarket.engine import PolymarketEngine
from arbiter.venues.base import Venue
from arbiter.venues.kalshi.client import BROKER_UNIT, Kalshi, KalshiHosts
from arbiter.venues.kalshi.signing import KalshiSigner
from arbiter.venues.polymarket.client import Polymarket, PolymarketHosts

T = TypeVar("T")

KEY_ID = "replay"
TICK_SECONDS = 0.02
_PLAIN = {"https://": "http://", "wss://": "ws://"}


class RecordedFrames:
    """A frames file, checked whole, ready to be played once. Raises ConfigError for one that is not what it should be."""

    sample_interval_ms: int | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        file = FramesFile(path)
        self.playback = Playback(file, _made_up_catalogue(file.header))
        self.pairs: tuple[Pair, ...] = tuple(file.header.pairs)
        self.started_ms = file.header.started_ms

    def venues(self, environment: Environment, balance_unit: Micros = BROKER_UNIT) -> list[Venue]:
        """The connectors of the venues that were recorded. `balance_unit`: to what Kalshi rounds the account's balance."""
        header, network = self.playback.header, self.playback.network
        made: list[Venue] = []
        for venue in header.hosts:
            if venue == POLYMARKET:
                made.append(Polymarket(_hosts(header, venue, PolymarketHosts), network(venue), environment))
            elif venue == KALSHI:
                made.append(
                    Kalshi(_hosts(header, venue, KalshiHosts), throwaway_key()[0], network(venue), environment, balance_unit=balance_unit)
                )
            else:
                raise ConfigError(f"the recording is of a venue {venue[:40]!r}", "this version plays polymarket and kalshi")
        return made

    async def play(self, speed: int) -> None:
        """At `speed` times its own pace, on the real clock. Returns at the end; what was told last stays, and pings are answered."""
        began = trio.current_time()
        while (at := self.playback.next_at()) is not None:
            now = (trio.current_time() - began) * speed
            if at > now:
                self.playback.moved_to(now)
                await trio.sleep(min((at - now) / speed, TICK_SECONDS))
            else:
                self.playback.moved_to(at)
                self.playback.step()
                await trio.lowlevel.checkpoint()


def throwaway_key() -> tuple[KalshiSigner, bytes]:
    """A signer for this run, and its public key (PEM)."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return KalshiSigner(KEY_ID, private), public


def _hosts(header: Header, venue: str, type_: type[T]) -> T:
    """The recorded addresses without TLS: nothing of it is in a recording."""
    plain = {}
    for name, url in header.hosts[venue].items():
        scheme = next((each for each in _PLAIN if url.startswith(each)), "")
        plain[name] = _PLAIN.get(scheme, "") + url.removeprefix(scheme)
    try:
        return msgspec.convert(plain, type_)
    except msgspec.ValidationError as error:
        raise ConfigError(f"the recording's addresses of {venue} are not what they should be: {error}", "record it again") from None


def _made_up_catalogue(header: Header) -> Callable[[Asked], Answer | None] | None:
    """Answers about the header's markets as the sandbox would, where there are any; about their books it knows nothing."""
    if not header.markets:
        return None
    apps: dict[str, App] = {
        POLYMARKET: PolymarketEngine([m for m in header.markets if m.key.venue == POLYMARKET]),
        KALSHI: KalshiEngine([m for m in header.markets if m.key.venue == KALSHI], Authenticator({})),
    }

    def answer(asked: Asked) -> Answer | None:
        parts = urlsplit(asked.target)
        if asked.venue not in apps:
            return None
        if "book" in parts.path:
            return Answer(200, b"[]") if asked.method == "POST" else None
        request = Request(asked.method, parts.path, parse_qs(parts.query, keep_blank_values=True), {}, asked.body)
        response = apps[asked.venue].handle(request, header.started_ms)
        return Answer(response.status, response.body) if isinstance(response, Response) else None

    return answer
