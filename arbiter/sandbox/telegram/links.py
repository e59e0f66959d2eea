"""Addresses in formatted text: which ones Telegram makes a link of."""

import re
from urllib.parse import parse_qs, urlsplit

from arbiter.sandbox.telegram.markup import unparsable

LARGEST_URL = 2048
HOST = re.compile(r"(?:[\w-]+\.)+[A-Za-z]{2,}|\d{1,3}(?:\.\d{1,3}){3}|\[[0-9A-Fa-f:]+\]|localhost")
SCHEMES = ("http", "https", "tg", "ton", "tonsite")


def link_url(url: str) -> str | None:
    """The address in its usual spelling; None: it is none, and the text stays plain."""
    url = url.strip()
    if not url or len(url) > LARGEST_URL or any(char.isspace() or ord(char) < 32 for char in url):
        return None
    try:
        parts = urlsplit(url if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", url) and not re.match(r"[\w.-]+:\d", url) else f"http://{url}")
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in SCHEMES:
        return None
    if parts.scheme in ("http", "https"):
        if not parts.hostname or not HOST.fullmatch(parts.netloc.rpartition("@")[2].removesuffix(f":{port}")):
            return None
        if parts.hostname == "localhost" and "://" not in url:
            return None
    return parts._replace(path=parts.path or "/").geturl() if parts.scheme in ("http", "https") else parts.geturl()


def custom_emoji(url: str) -> str:
    """The identifier in a tg://emoji address. Raises Refusal."""
    try:
        parts = urlsplit(url)
        ids = parse_qs(parts.query, max_num_fields=100).get("id", [])
    except ValueError:
        raise unparsable("Custom emoji URL must have scheme tg") from None
    if parts.scheme != "tg":
        raise unparsable("Custom emoji URL must have scheme tg")
    if (parts.netloc or parts.path).lower().strip("/") != "emoji":
        raise unparsable('Custom emoji URL must have host "emoji"')
    if not ids:
        raise unparsable("Custom emoji URL must have an emoji identifier")
    if not ids[0].isascii() or not ids[0].isdigit() or ids[0].startswith("0") or len(ids[0]) > 19:
        raise unparsable("Invalid custom emoji identifier specified")
    return ids[0]
