"""Converters from what others recorded to our recording format; docs/recordings.md tells what each assumes.

One module a source. Each converter is a function of two paths that raises ConfigError for what it cannot read or write.
"""

from arbiter.sandbox.convert.kinds import KINDS, convert
from arbiter.sandbox.convert.worldcup import convert_worldcup

__all__ = ["KINDS", "convert", "convert_worldcup"]
