"""The names under which the command line knows the converters."""

from collections.abc import Callable, Mapping
from pathlib import Path

from arbiter.errors import ConfigError
from arbiter.sandbox.convert.worldcup import convert_worldcup

KINDS: Mapping[str, Callable[[Path, Path], None]] = {
    "worldcup": convert_worldcup,
}


def convert(kind: str, source: Path, target: Path) -> None:
    """Convert by name. Raises ConfigError for an unknown kind, and for what the converter cannot read or write."""
    if kind not in KINDS:
        raise ConfigError(f"there is no converter {kind!r}", f"the kinds are {', '.join(KINDS)}")
    KINDS[kind](source, target)
