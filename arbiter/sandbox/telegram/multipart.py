"""multipart/form-data, as uploads send it: the parts of one bounded body. Nothing is decoded beyond what a bot's client uses."""

from email.message import Message
from email.utils import collapse_rfc2231_value
from typing import NamedTuple

from arbiter.sandbox.telegram.refusal import Refusal, bad_request

MOST_PARTS = 64


class Part(NamedTuple):
    """One field. `filename` is None for a plain one."""

    name: str
    filename: str | None
    content_type: str
    data: bytes


def parse_multipart(content_type: str, body: bytes) -> list[Part]:
    """The parts in their order. Raises Refusal for what is no multipart body."""
    boundary = _parameter("content-type", content_type, "boundary")
    if not boundary:
        raise bad_request("can't find a boundary in the multipart body")
    delimiter = b"--" + boundary.encode("latin-1", "replace")
    pieces = (b"\r\n" + body).split(b"\r\n" + delimiter)
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise bad_request("the multipart body is incomplete")
    if len(pieces) - 2 > MOST_PARTS:
        raise Refusal(413, "Request Entity Too Large")
    return [_part(piece) for piece in pieces[1:-1]]


def _part(piece: bytes) -> Part:
    head, separator, data = piece.partition(b"\r\n\r\n")
    if not separator:
        raise bad_request("a part of the multipart body has no end of its headers")
    headers: dict[str, str] = {}
    for line in head.decode("utf-8", "replace").split("\r\n"):
        field, _, value = line.partition(":")
        headers[field.strip().lower()] = value.strip()
    disposition = headers.get("content-disposition", "")
    name = _parameter("content-disposition", disposition, "name")
    filename = _parameter("content-disposition", disposition, "filename")
    if name is None:
        raise bad_request("a part of the multipart body has no name")
    return Part(name, filename, headers.get("content-type", "application/octet-stream"), data)


def _parameter(header: str, value: str, parameter: str) -> str | None:
    """One parameter of a structured header, in either of its spellings (`name=`, `name*=`)."""
    message = Message()
    message[header] = value.replace("\r", " ").replace("\n", " ")
    try:
        found = message.get_param(parameter, header=header)
        text: object = collapse_rfc2231_value(found) if isinstance(found, tuple) else found
    except (ValueError, IndexError, LookupError):
        return None
    return text if isinstance(text, str) else None
