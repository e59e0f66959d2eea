"""Files that bots and people sent: the newest ones, within a bound on their bytes."""

import hashlib
from collections import OrderedDict

import msgspec

from arbiter.sandbox.telegram.params import Params, Upload
from arbiter.sandbox.telegram.refusal import bad_request

MOST_FILES = 500
MOST_BYTES = 64 * 1024 * 1024
LARGEST_NAME = 128
PICTURES = {"png": "image/png", "jpg": "image/jpeg", "gif": "image/gif", "webp": "image/webp"}


class Kept(msgspec.Struct, frozen=True):
    """One file. `picture` is its extension when it is a picture, with its size in pixels."""

    file_id: str
    unique_id: str
    name: str
    content_type: str
    data: bytes
    picture: str | None = None
    width: int = 0
    height: int = 0

    @property
    def path(self) -> str:
        """Where it is downloaded from, below /file/bot<token>/."""
        folder = "photos" if self.picture else "documents"
        return f"{folder}/{self.unique_id}.{self.picture or 'bin'}"


class Files:
    """By identifier. The oldest go first when there are too many."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._bytes = 0
        self._count = 0

    def keep(self, upload: Upload) -> Kept:
        """Take a file in. Raises Refusal for an empty one."""
        if not upload.data:
            raise bad_request("file must be non-empty")
        self._count += 1
        digest = hashlib.sha256(upload.data).hexdigest()
        picture, width, height = picture_size(upload.data)
        name = upload.name.replace("/", "_").replace("\\", "_")[-LARGEST_NAME:] or "file"
        kept = Kept(f"SBX{digest[:40]}{self._count:06d}", digest[:16], name, upload.content_type, upload.data, picture, width, height)
        self._kept[kept.file_id] = kept
        self._bytes += len(kept.data)
        while len(self._kept) > MOST_FILES or self._bytes > MOST_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= len(oldest.data)
        return kept

    def get(self, file_id: str) -> Kept | None:
        """The file of that identifier, while it is kept."""
        return self._kept.get(file_id)

    def at_path(self, path: str) -> Kept | None:
        """The file that is downloaded from there."""
        return next((each for each in self._kept.values() if each.path == path), None)

    def sent(self, params: Params, name: str) -> Kept:
        """The file of a call: uploaded with it, or named by its identifier. Raises Refusal."""
        if upload := params.upload(name):
            return self.keep(upload)
        file_id = params.text(name)
        if not file_id:
            raise bad_request(f"there is no {name} in the request")
        if kept := self.get(file_id):
            return kept
        if file_id.startswith(("http://", "https://")):
            raise bad_request("failed to get HTTP URL content")  # the sandbox opens no connections
        raise bad_request("wrong file identifier/HTTP URL specified")


def picture_size(data: bytes) -> tuple[str | None, int, int]:
    """The extension, width and height of a picture; (None, 0, 0) for what is none of the known kinds."""
    if data[:8] == b"\x89PNG\r\n\x1a\n" and data[12:16] == b"IHDR" and len(data) >= 24:
        return "png", int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if data[:6] in (b"GIF87a", b"GIF89a") and len(data) >= 10:
        return "gif", int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
    if data[:2] == b"\xff\xd8":
        return _jpeg_size(data)
    if data[:4] == b"RIFF" and data[8:16] == b"WEBPVP8X" and len(data) >= 30:
        return "webp", int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    return None, 0, 0


def _jpeg_size(data: bytes) -> tuple[str | None, int, int]:
    """Walk the segments to the frame header."""
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return "jpg", int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return None, 0, 0
