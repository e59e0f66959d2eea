"""Certificates for trying TLS: an authority of one's own, a server's certificate and a client's, as PEM files.

For a machine or a network of one's own. What strangers shall trust needs a certificate of a public authority.
"""

import ipaddress
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from arbiter.errors import ConfigError

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
AUTHORITY, SERVER, CLIENT = "ca", "server", "client"
AUTHORITY_DAYS = 3650
DAYS = 365
_SLACK = timedelta(minutes=5)
"""Valid from so long ago, for clocks that go slow."""


@dataclass(frozen=True, repr=False)
class Certified:
    """A certificate and its private key, both PEM."""

    cert: bytes
    key: bytes


@dataclass(frozen=True)
class Made:
    """Where everything lies, and which files are new."""

    folder: Path
    new: tuple[Path, ...]


def make_certs(folder: Path, names: Sequence[str] = ()) -> Made:
    """Make what is missing in the folder: `ca`, `server` and `client`, each as `.pem` and `.key` (readable by the owner alone).

    `names`: host names and addresses of the server beside this machine's own. Nothing that is there is written over.
    Raises ConfigError.
    """
    now = datetime.now(UTC)
    found = {name: _read(folder, name) for name in (AUTHORITY, SERVER, CLIENT)}
    if found[AUTHORITY] is None and (found[SERVER] or found[CLIENT]):
        raise ConfigError(f"{folder} has certificates, but not the authority that signed them", "name another folder, or empty this one")
    authority = found[AUTHORITY] or make_authority(now)
    wanted: dict[str, Callable[[], Certified]] = {
        AUTHORITY: lambda: authority,
        SERVER: lambda: issue_server(authority, (*LOCAL_NAMES, *names), now),
        CLIENT: lambda: issue_client(authority, "arbiter client", now),
    }
    fresh = {name: make() for name, make in wanted.items() if found[name] is None}  # all of it, before anything is written
    new: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, made in fresh.items():
            new += [_write(folder / f"{name}.key", made.key, 0o600), _write(folder / f"{name}.pem", made.cert, 0o644)]
    except OSError as error:
        raise ConfigError(f"cannot write to {folder}: {error.strerror}", "mend its permissions, or name another folder") from None
    return Made(folder, tuple(new))


def what_next(made: Made) -> str:
    """What a person reads: what was made, and the settings that use it."""
    new = f"Made {', '.join(path.name for path in made.new)} in {made.folder}." if made.new else f"All is there already in {made.folder}."
    server = {"CERT": f"{SERVER}.pem", "KEY": f"{SERVER}.key"}
    return "\n".join(
        [
            new,
            "",
            "For the server, in .env or the environment:",
            *(f"  ARBITER_GRPC_TLS_{name}={made.folder / file}" for name, file in server.items()),
            f"  ARBITER_GRPC_TLS_CLIENT_CA={made.folder / AUTHORITY}.pem    (only where clients must show a certificate)",
            "For a client on another machine; copy these files there, and keep the .key files to yourself:",
            f"  --ca {AUTHORITY}.pem --cert {CLIENT}.pem --key {CLIENT}.key",
        ]
    )


def make_authority(now: datetime, name: str = "Arbiter local authority") -> Certified:
    """An authority that may sign certificates of servers and clients, and no other authority."""
    key, subject = ec.generate_private_key(ec.SECP256R1()), _subject(name)
    builder = _builder(subject, subject, key, now, AUTHORITY_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return _signed(builder, key, key)


def issue_server(authority: Certified, names: Sequence[str], now: datetime, days: int = DAYS) -> Certified:
    """For a server that is reached under these host names and addresses. Raises ConfigError for what is neither."""
    alternatives = x509.SubjectAlternativeName([_general_name(name) for name in dict.fromkeys(names)])
    return _issue(authority, names[0], ExtendedKeyUsageOID.SERVER_AUTH, now, days, alternatives)


def issue_client(authority: Certified, name: str, now: datetime, days: int = DAYS) -> Certified:
    """For a client that proves itself by it."""
    return _issue(authority, name, ExtendedKeyUsageOID.CLIENT_AUTH, now, days, None)


def _issue(
    authority: Certified, name: str, purpose: ObjectIdentifier, now: datetime, days: int, alternatives: x509.SubjectAlternativeName | None
) -> Certified:
    signer = _private_key(authority)
    issuer = x509.load_pem_x509_certificate(authority.cert)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_subject(name), issuer.subject, key, now, days)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    if alternatives is not None:
        builder = builder.add_extension(alternatives, critical=False)
    return _signed(builder, key, signer)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, days: int) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SLACK)
        .not_valid_after(now + timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _signed(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey) -> Certified:
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Certified(builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), private)


def _private_key(authority: Certified) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(authority.key, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    if not name.isascii() or not all(part and part.replace("-", "").isalnum() for part in name.removeprefix("*.").split(".")):
        raise ConfigError(f"{name!r} is neither a host name nor an address", "give one such as arbiter.example.com or 192.0.2.7")
    return x509.DNSName(name)


def _read(folder: Path, name: str) -> Certified | None:
    """What is there already. Raises ConfigError where half of it is, or what is no certificate of this module's."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    try:
        there = [path for path in (cert, key) if path.exists()]
        if not there:
            return None
        if len(there) == 1:
            raise ConfigError(f"{there[0]} is there without its other half", "remove it, or name another folder")
        certified = Certified(cert.read_bytes(), key.read_bytes())
        x509.load_pem_x509_certificate(certified.cert)
        _private_key(certified)
    except OSError as error:
        raise ConfigError(f"cannot read {error.filename}: {error.strerror}", "mend its permissions, or name another folder") from None
    except (ValueError, TypeError, AssertionError):
        raise ConfigError(f"{cert} and {key.name} were not made by this command", "name another folder") from None
    return certified


def _write(path: Path, data: bytes, mode: int) -> Path:
    """A file that was not there. Raises OSError, also where it is."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as file:
        file.write(data)
    return path
