"""The parameters of one method call, however they were sent: query, form, JSON or multipart. Read with Telegram's leniency."""

from urllib.parse import parse_qsl

import msgspec

from arbiter.sandbox.http import MOST_QUERY_FIELDS, Request
from arbiter.sandbox.telegram.multipart import parse_multipart
from arbiter.sandbox.telegram.refusal import bad_request

LARGEST_ID = 2**53
Json = dict[str, object] | list[object] | str | int | float | bool | None


class Upload(msgspec.Struct, frozen=True):
    """A file that came with the call."""

    name: str
    content_type: str
    data: bytes


class Params:
    """What a method was called with. Structures arrive as JSON text or, in a JSON body, as themselves."""

    def __init__(self, values: dict[str, Json], uploads: dict[str, Upload]) -> None:
        self._values = values
        self._uploads = uploads

    def has(self, name: str) -> bool:
        """Whether it was sent at all."""
        return self._values.get(name) is not None or name in self._uploads

    def text(self, name: str, default: str = "") -> str:
        """As text; a number or a structure in its JSON spelling."""
        value = self._values.get(name)
        if value is None:
            return default
        return value if isinstance(value, str) else msgspec.json.encode(value).decode()

    def integer(self, name: str, default: int = 0) -> int:
        """As a whole number; what is none counts as the default, as with Telegram."""
        value = self._values.get(name)
        if isinstance(value, bool) or value is None:
            return default
        try:
            number = int(value) if isinstance(value, int | str | float) else default
        except (ValueError, OverflowError):
            return default
        return number if abs(number) <= LARGEST_ID else default

    def flag(self, name: str) -> bool:
        """As a yes or no."""
        return self.text(name).lower() in ("true", "yes", "1")

    def structure(self, name: str, what: str) -> Json:
        """As JSON; None when it was not sent. Raises Refusal, with `what` for a name, when it cannot be read."""
        value = self._values.get(name)
        if not isinstance(value, str):
            return value
        if not value:
            return None
        try:
            decoded: Json = msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError):
            raise bad_request(f"can't parse {what} JSON object") from None
        return decoded

    def upload(self, name: str) -> Upload | None:
        """The file of that name: sent under the name itself, or under another that the text points to by `attach://`."""
        pointer = self.text(name)
        return self._uploads.get(pointer.removeprefix("attach://") if pointer.startswith("attach://") else name)


def read_params(request: Request) -> Params:
    """Gather them; the body wins over the query. Raises Refusal for a body that is not what it claims to be."""
    values: dict[str, Json] = {name: given[-1] for name, given in request.query.items()}
    uploads: dict[str, Upload] = {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not request.body:
        return Params(values, uploads)
    if kind == "application/json":
        values.update(_json_body(request.body))
    elif kind == "multipart/form-data":
        for part in parse_multipart(request.headers["content-type"], request.body):
            if part.filename is None:
                values[part.name] = part.data.decode("utf-8", "replace")
            else:
                uploads[part.name] = Upload(part.filename, part.content_type, part.data)
    elif kind in ("application/x-www-form-urlencoded", ""):
        values.update(_form_body(request.body))
    return Params(values, uploads)


def _json_body(body: bytes) -> dict[str, Json]:
    try:
        return msgspec.json.decode(body, type=dict[str, Json])
    except (msgspec.DecodeError, RecursionError):
        raise bad_request("can't parse request body as a JSON object") from None


def _form_body(body: bytes) -> dict[str, Json]:
    try:
        pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MOST_QUERY_FIELDS)
    except ValueError:
        raise bad_request("can't parse the form") from None
    return dict(pairs)
