"""Whose turn it is: who sends in a loop, and never has to wait, lets the others run now and then."""

IN_A_ROW = 64
"""Sends that need no waiting before who sends lets others run: each costs a few microseconds."""


class Turns:
    """One count for all mailboxes: a loop over many actors that each have room is as long as one over a single actor."""

    __slots__ = ("sent",)

    def __init__(self) -> None:
        self.sent = 0


TURNS = Turns()
"""Of the process: between two turns of one task nobody else counts on."""
