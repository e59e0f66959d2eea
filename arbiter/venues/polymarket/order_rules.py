"""The rules by which an order is refused before it is signed: what the venue would refuse too, or take for something else."""

from enum import Enum

from arbiter.errors import InvalidInput


class OrderRule(Enum):
    """By stable names."""

    UNKNOWN_TICK = "unknown_tick"
    OFF_GRID = "off_grid"
    PRICE_OUT_OF_RANGE = "price_out_of_range"
    NOTHING_LEFT = "nothing_left"
    TOO_LARGE = "too_large"
    BELOW_MINIMUM_SIZE = "below_minimum_size"
    BELOW_MINIMUM_VALUE = "below_minimum_value"
    PART_OF_A_CENT = "part_of_a_cent"
    TOO_FINE = "too_fine"
    POST_ONLY_NEVER_RESTS = "post_only_never_rests"
    NO_EXPIRY = "no_expiry"
    EXPIRY_NOT_TAKEN = "expiry_not_taken"
    EXPIRES_TOO_SOON = "expires_too_soon"
    BAD_BUILDER = "bad_builder"


class OrderRefused(InvalidInput):
    """`rule` says which, `field` where, `problem` with which numbers. Nothing was signed."""

    def __init__(self, rule: OrderRule, field: str, problem: str) -> None:
        super().__init__(field, problem)
        self.rule = rule
