"""A client's TLS: whom it trusts, and what it shows of itself. The server's certificate and name are always verified."""

import ssl
from pathlib import Path
from typing import NamedTuple

from arbiter.rpc.client_errors import ArbiterClientError

PEM = "-----BEGIN CERTIFICATE-----"
MEANINGS = {
    "CERTIFICATE_REQUIRED": "it wants a client certificate: give one with its key",
    "HANDSHAKE_FAILURE": "it and this client have no TLS in common, or it wants a client certificate",
    "UNKNOWN_CA": "it does not trust the authority of this client's certificate",
    "BAD_CERTIFICATE": "it does not take this client's certificate",
    "CERTIFICATE_EXPIRED": "this client's certificate has expired",
    "WRONG_VERSION_NUMBER": "it speaks no TLS there",
}
"""What OpenSSL's words mean for who reads them; some come with a prefix such as TLSV13_ALERT_."""


class ClientTls(NamedTuple):
    """Names of PEM files. Nothing at all: TLS is used where the address asks for it, and this machine's own authorities are trusted."""

    ca: str = ""
    """The authorities to trust, and no others."""
    cert: str = ""
    """This client's certificate, for servers that want one."""
    key: str = ""
    """Its key; empty: it is in the same file."""

    def context(self) -> ssl.SSLContext:
        """For one connection; reads the files. Raises ArbiterClientError."""
        if self.key and not self.cert:
            raise ArbiterClientError("there is a client key, but no certificate", "BAD_TLS")
        texts = {path: _read(path) for path in self if path}
        try:
            if self.ca and PEM not in texts[self.ca]:
                raise ValueError  # without any text the machine's own authorities would be trusted
            context = ssl.create_default_context(cadata=texts[self.ca] if self.ca else None)
        except (ssl.SSLError, ValueError):
            raise ArbiterClientError(f"{self.ca} has no certificate in PEM", "BAD_TLS") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["h2"])
        if self.cert:
            try:
                context.load_cert_chain(self.cert, self.key or None, password=_no_passphrase)
            except (ssl.SSLError, OSError) as error:
                problem = getattr(error, "reason", None) or str(error)
                raise ArbiterClientError(f"the client certificate {self.cert} cannot be used with its key ({problem})", "BAD_TLS") from None
        return context


def explained(reason: str) -> str:
    """A failed TLS in words."""
    return next((meaning for word, meaning in MEANINGS.items() if reason.endswith(word)), reason)


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError as error:
        raise ArbiterClientError(f"cannot read {path}: {error.strerror}", "BAD_TLS") from None
    except UnicodeDecodeError:
        raise ArbiterClientError(f"{path} is not PEM", "BAD_TLS") from None


def _no_passphrase() -> str:
    """Asked by OpenSSL, which would ask the terminal."""
    raise ArbiterClientError("the client key has a passphrase, which nobody is there to type", "BAD_TLS")
