"""What a token id says of itself: those of generation "v2" carry their module, condition and outcome (A1.1). Pure."""

from enum import Enum
from typing import NamedTuple, NewType

from arbiter.errors import InvalidInput

ConditionId = NewType("ConditionId", str)
"""`0x` and 62 hex digits: of generation "v2" only."""

LARGEST = (1 << 256) - 1
_NOUGHT = ((1 << 64) - 1) << 40
"""The bits that no position id uses, and that a hash (a token id of generation "v1") leaves empty once in 10^19."""
_DIGITS = 78
"""Of the largest number of 256 bits."""


class Module(Enum):
    """What kind of market a position belongs to."""

    BINARY = 1
    NEGATIVE_RISK = 2
    COMBINATORIAL = 3


class Position(NamedTuple):
    """What a position id says. `outcome` is 0 for YES, 1 for NO."""

    module: Module
    condition: ConditionId
    outcome: int


def parse_token(text: str, field: str = "token") -> int:
    """A token id, which is decimal text on the wire. InvalidInput for what is not a number from 0 to 2^256 - 1."""
    if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS) or (token := int(text)) > LARGEST:
        raise InvalidInput(field, "not a token id: a number of at most 256 bits in decimal digits is needed")
    return token


def is_position_id(token: int) -> bool:
    """Whether the number has the form of a token of generation "v2". Which generation a market is of, its `version` says."""
    return token & _NOUGHT == 0


def read_position(token: int) -> Position:
    """InvalidInput for a number that is no YES or NO of a known module."""
    raw = token.to_bytes(32, "big")
    if not is_position_id(token) or raw[0] not in (1, 2, 3) or raw[-1] not in (0, 1):
        raise InvalidInput("token", "not the position id of a YES or NO outcome")
    return Position(Module(raw[0]), ConditionId("0x" + raw[:-1].hex()), raw[-1])
