"""The server's TLS: what is checked of its PEM files, the context made from them, and a change of them without a restart."""

import ssl
import stat
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog
import trio
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from arbiter.errors import ConfigError

LOOK_SECONDS = 1.0
"""So often at most the files are looked at, and only when somebody connects."""
LARGEST_FILE = 1024 * 1024
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2: what HTTP/2 allows (RFC 9113, 9.2.2). Those of 1.3 are all allowed."""
_FOR_OTHERS = stat.S_IWGRP | stat.S_IRWXO
"""A key's file may be read by a group, as some systems keep their keys, and by nobody else."""

_log = structlog.get_logger(component="grpc")


@dataclass(frozen=True)
class PemFiles:
    """The server's certificate (with what is between it and its authority), its key, and who signs the clients' certificates."""

    cert: Path
    key: Path
    client_ca: Path | None = None

    def stamp(self) -> tuple[tuple[int, ...] | None, ...]:
        """Changes with every change of a file."""
        return tuple(_stamp(path) for path in (self.cert, self.key, self.client_ca) if path is not None)


class ServerTls:
    """The context of each new connection; a changed pair of files is used from the next connection on, a broken one never."""

    def __init__(self, files: PemFiles, unix_ms: Callable[[], int]) -> None:
        """Raises ConfigError."""
        self._files = files
        self._unix_ms = unix_ms
        self._stamp = files.stamp()
        self._context = load_context(files, self._now())
        self._looked_at = -LOOK_SECONDS

    @property
    def mutual(self) -> bool:
        """Whether a client must show a certificate."""
        return self._files.client_ca is not None

    async def context(self) -> ssl.SSLContext:
        """For one connection. The files are read in a thread; who connects meanwhile gets the context before."""
        now = trio.current_time()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            await trio.to_thread.run_sync(self._look, abandon_on_cancel=True)
        return self._context

    def _look(self) -> None:
        """In a thread. It only ever assigns a finished context."""
        stamp = self._files.stamp()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._context = load_context(self._files, self._now())
        except ConfigError as error:
            _log.warning("the changed TLS files are not used; those before stay in force", problem=str(error))
        else:
            _log.info("the changed TLS files are used from now on", certificate=str(self._files.cert))

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._unix_ms() / 1000, UTC)


def load_context(files: PemFiles, now: datetime) -> ssl.SSLContext:
    """TLS 1.2 or 1.3 for HTTP/2 from these files. Raises ConfigError, one line with cause and cure, for what does not fit."""
    cert = _certificates(files.cert, "grpc_tls_cert")[0]
    _require_valid(cert, files.cert, now)
    _require_private(files.key)
    if _private_key(files.key).public_key() != cert.public_key():
        raise ConfigError(
            f"the TLS key {files.key} belongs to another certificate than {files.cert}", "name the two that were made together"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = 0  # connections live long, and a client whose authority was taken away shall not come back by a ticket
    context.set_ciphers(CIPHERS)
    context.set_alpn_protocols(["h2"])
    try:
        context.load_cert_chain(files.cert, files.key, password=_no_passphrase)
        if files.client_ca is not None:
            _trust(context, files.client_ca, now)
    except (ssl.SSLError, OSError) as error:
        problem = getattr(error, "reason", None) or error.strerror or str(error)
        raise ConfigError(f"the TLS files cannot be used ({problem})", f"look at {files.cert} and {files.key}") from None
    return context


def _trust(context: ssl.SSLContext, path: Path, now: datetime) -> None:
    """Refuse every client without a certificate that these authorities signed."""
    authorities = [each for each in _certificates(path, "grpc_tls_client_ca") if each.not_valid_after_utc > now]
    if not authorities:
        raise ConfigError(f"every authority in {path} has expired", "set grpc_tls_client_ca to one that has not")
    context.load_verify_locations(cadata="".join(each.public_bytes(serialization.Encoding.PEM).decode() for each in authorities))
    context.verify_mode = ssl.CERT_REQUIRED


def _certificates(path: Path, setting: str) -> list[x509.Certificate]:
    """Raises ConfigError where there is not one."""
    try:
        return x509.load_pem_x509_certificates(_read(path, setting))
    except ValueError:
        raise ConfigError(
            f"{path} has no certificate in PEM", f"set {setting} to a file that begins with -----BEGIN CERTIFICATE-----"
        ) from None


def _require_valid(cert: x509.Certificate, path: Path, now: datetime) -> None:
    if now >= cert.not_valid_after_utc:
        raise ConfigError(f"the TLS certificate {path} expired on {cert.not_valid_after_utc:%Y-%m-%d %H:%M} UTC", "renew it")
    if now < cert.not_valid_before_utc:
        raise ConfigError(
            f"the TLS certificate {path} is not valid before {cert.not_valid_before_utc:%Y-%m-%d %H:%M} UTC", "look at this machine's clock"
        )


def _require_private(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise _unreadable(path, "grpc_tls_key", error) from None
    if mode & _FOR_OTHERS:
        raise ConfigError(f"others may read or change the TLS key {path}", "chmod 600 it, and make a new one where others were there")


def _private_key(path: Path) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(_read(path, "grpc_tls_key"), None)
    except TypeError:
        raise ConfigError(
            f"the TLS key {path} has a passphrase, which nobody is there to type", "write it without one: openssl pkey -in it"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(
            f"{path} has no private key in PEM", "set grpc_tls_key to a file that begins with -----BEGIN PRIVATE KEY-----"
        ) from None


def _no_passphrase() -> str:
    """Asked by OpenSSL, which would ask the terminal."""
    raise ConfigError("the TLS key has a passphrase, which nobody is there to type", "write it without one")


def _read(path: Path, setting: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise _unreadable(path, setting, error) from None
    if len(data) > LARGEST_FILE:
        raise ConfigError(f"{path} is larger than {LARGEST_FILE // 1024} KiB", f"set {setting} to a PEM file")
    return data


def _unreadable(path: Path, setting: str, error: OSError) -> ConfigError:
    return ConfigError(f"cannot read {path}: {error.strerror}", f"look at its permissions and at {setting}")


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
