"""Fields of protobuf messages as bytes: one body for all readers of a change, with what is each reader's own appended.

Protobuf messages that are written one after the other are one message: of a field that holds one value the last one counts,
repeated fields add up (protobuf.dev/programming-guides/encoding, "Last One Wins").
"""


def varint(value: int) -> bytes:
    """A number as protobuf writes it; a negative one in ten bytes."""
    value &= (1 << 64) - 1
    if value < 0x80:
        return bytes((value,))
    written = bytearray()
    while value >= 0x80:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def tag(number: int, kind: int = 0) -> bytes:
    """What stands before a field's value. Kind 0 is a number, 2 is text, bytes or a message."""
    return varint(number << 3 | kind)


def int_field(number: int, value: int) -> bytes:
    """A field that holds a number, an enum or a bool."""
    return tag(number) + varint(value)


def bytes_field(number: int, value: bytes) -> bytes:
    """A field that holds text, bytes or a message."""
    return tag(number, 2) + varint(len(value)) + value
