"""The names under which the command line knows the converters."""

from collections.abc import Callable, Mapping
from pathlib import Path

from arbiter.errors import ConfigError
from arbiter.sandbox.convert.fed import convert_fed
from arbiter.sandbox.convert.kalshi_frames import convert_kalshi_frames
from arbiter.sandbox.convert.kalshi_ws import convert_kalshi_ws
from arbiter.sandbox.convert.polymarket_frames import convert_polymarket_frames
from arbiter.sandbox.convert.polymarket_ws import convert_polymarket_ws
from arbiter.sandbox.convert.weather import convert_weather
from arbiter.sandbox.convert.worldcup import convert_worldcup

KINDS: Mapping[str, Callable[[Path, Path], None]] = {
    "worldcup": convert_worldcup,
    "fed-dec2025": convert_fed,
    "weather": convert_weather,
    "kalshi-ws": convert_kalshi_ws,
    "polymarket-ws": convert_polymarket_ws,
    "kalshi-frames": convert_kalshi_frames,
    "polymarket-frames": convert_polymarket_frames,
}


def convert(kind: str, source: Path, target: Path) -> None:
    """Convert by name. Raises ConfigError for an unknown kind, and for what the converter cannot read or write."""
    if kind not in KINDS:
        raise ConfigError(f"there is no converter {kind!r}", f"the kinds are {', '.join(KINDS)}")
    if source.resolve() == target.resolve():
        raise ConfigError(f"the recording would overwrite its source {source}", "name another target")
    KINDS[kind](source, target)
