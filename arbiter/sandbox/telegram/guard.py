"""Who may use the chat page: a browser on this machine, on the page itself. Against DNS rebinding and forged requests of other sites."""

from urllib.parse import urlsplit

from arbiter.sandbox.http import Request
from arbiter.sandbox.telegram.refusal import Refusal

LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
SAFE_HEADERS = (
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cache-control", "no-store"),
)


def check(request: Request) -> None:
    """Raises Refusal (403, 405, 415) for a request that did not come from the page, or a person's own address bar."""
    host = request.headers.get("host", "")
    if _name(host) not in LOCAL_NAMES:
        raise Refusal(403, "Forbidden: this page is for this machine alone")
    if request.method not in ("GET", "HEAD", "POST"):
        raise Refusal(405, "Method Not Allowed")
    changes = request.method == "POST"
    site = request.headers.get("sec-fetch-site")
    # a link from elsewhere may open the page, but nothing else
    elsewhere = site not in (None, "same-origin", "none")
    if elsewhere and (changes or request.path.startswith("/chat/")):
        raise Refusal(403, "Forbidden: another site asked")
    if changes and request.headers.get("origin") != f"http://{host}":
        raise Refusal(403, "Forbidden: another origin asked")
    if changes and request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refusal(415, "Unsupported Media Type: send application/json")


def _name(host: str) -> str:
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return ""
    return "" if parts.username is not None or parts.path else parts.hostname or ""
