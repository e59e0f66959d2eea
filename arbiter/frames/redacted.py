"""What never gets into a recording: secrets, by the names that they go by. Headers are not recorded at all but for a few of an answer.

Both directions are looked at: an answer can hold a secret, too. A text that names none is left as it is, byte for byte.
"""

import re
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec

HIDDEN = "***"
SECRETS = frozenset(
    {
        *("auth", "authorization", "apikey", "secret", "apisecret", "passphrase", "password", "privatekey", "signature", "credential"),
        *("accesstoken", "refreshtoken", "jwt", "credentials", "kalshiaccesskey", "kalshiaccesssignature", "kalshiaccesstimestamp"),
        *("polyapikey", "polypassphrase", "polysignature", "polysecret", "sessiontoken", "bearer"),
    }
)
"""Names of fields and parameters, without case, `-` and `_`."""
_PIECES = re.compile(
    rb"auth|api.?key|secret|pass(phrase|word)|private.?key|signature|credential|token|jwt|kalshi.?access|bearer", re.IGNORECASE
)
"""Whether it is worth a look: each secret's name has one of these in it."""


def redacted(text: bytes, *, ours: bool) -> bytes:
    """A message or body without secrets. One of `ours` that is no JSON and speaks of any is hidden whole."""
    if not _PIECES.search(text):
        return text
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return HIDDEN.encode() if ours else text
    cleaned = _clean(value)
    return text if cleaned is value else msgspec.json.encode(cleaned)


def redacted_target(target: str) -> str:
    """A path with its query, the secret parameters hidden."""
    path, mark, query = target.partition("?")
    fields = parse_qsl(query, keep_blank_values=True)
    if not any(_secret(name) for name, _ in fields):
        return target
    return path + mark + urlencode([(name, HIDDEN if _secret(name) else value) for name, value in fields])


def _secret(name: str) -> bool:
    return name.replace("-", "").replace("_", "").lower() in SECRETS


def _clean(value: Any) -> Any:
    """The same object where nothing in it is secret."""
    if isinstance(value, dict):
        cleaned = {name: HIDDEN if _secret(name) else _clean(each) for name, each in value.items()}
        return cleaned if any(cleaned[name] is not each for name, each in value.items()) else value
    if isinstance(value, list):
        items = [_clean(each) for each in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return value
