"""`arbiter certs`: what it makes, what it leaves alone, and what it says."""

import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from arbiter.certs import make_certs, what_next
from arbiter.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]


def read(folder, name):
    return x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())


def extension(cert, kind):
    return cert.extensions.get_extension_for_class(kind).value


def test_it_makes_an_authority_a_server_and_a_client_with_keys_for_their_owner_alone(tmp_path):
    made = make_certs(tmp_path / "certs")
    assert {path.name for path in made.new} == {f"{name}.{kind}" for name in ("ca", "server", "client") for kind in ("pem", "key")}
    assert {stat.S_IMODE(path.stat().st_mode) for path in made.new if path.suffix == ".key"} == {0o600}
    assert stat.S_IMODE((tmp_path / "certs").stat().st_mode) == 0o700


def test_the_servers_certificate_is_for_this_machine_and_for_the_names_that_were_given(tmp_path):
    make_certs(tmp_path, ["arbiter.example.com", "192.0.2.7", "localhost"])
    names = extension(read(tmp_path, "server"), x509.SubjectAlternativeName)
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "arbiter.example.com"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1", "192.0.2.7"]


def test_each_certificate_serves_one_purpose_and_the_authority_signed_both(tmp_path):
    make_certs(tmp_path)
    authority, server, client = (read(tmp_path, name) for name in ("ca", "server", "client"))
    for cert, purpose in ((server, ExtendedKeyUsageOID.SERVER_AUTH), (client, ExtendedKeyUsageOID.CLIENT_AUTH)):
        cert.verify_directly_issued_by(authority)
        assert list(extension(cert, x509.ExtendedKeyUsage)) == [purpose]
        assert not extension(cert, x509.BasicConstraints).ca
        assert cert.not_valid_before_utc <= datetime.now(UTC) < cert.not_valid_after_utc - timedelta(days=360)
    assert extension(authority, x509.BasicConstraints).path_length == 0


def test_a_second_time_it_changes_nothing_and_says_so(tmp_path):
    make_certs(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    made = make_certs(tmp_path, ["other.example.com"])
    assert made.new == ()
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert what_next(made).startswith(f"All is there already in {tmp_path}.\n")


def test_one_that_was_removed_is_made_anew_by_the_same_authority(tmp_path):
    make_certs(tmp_path)
    authority = read(tmp_path, "ca")
    for kind in ("pem", "key"):
        (tmp_path / f"server.{kind}").unlink()
    assert {path.name for path in make_certs(tmp_path).new} == {"server.pem", "server.key"}
    read(tmp_path, "server").verify_directly_issued_by(authority)


def test_half_of_a_pair_is_refused_and_nothing_is_made(tmp_path):
    (tmp_path / "client.pem").write_text("x")
    with pytest.raises(ConfigError, match=r"client\.pem is there without its other half; remove it"):
        make_certs(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["client.pem"]


def test_certificates_without_the_authority_are_refused(tmp_path):
    make_certs(tmp_path)
    for kind in ("pem", "key"):
        (tmp_path / f"ca.{kind}").unlink()
    with pytest.raises(ConfigError, match="not the authority that signed them"):
        make_certs(tmp_path)


@pytest.mark.parametrize("name", ["", "a b", "https://x", "a..b", "ü.example"])
def test_what_is_neither_a_name_nor_an_address_is_refused_and_nothing_is_left(tmp_path, name):
    with pytest.raises(ConfigError, match="is neither a host name nor an address"):
        make_certs(tmp_path / "certs", [name])
    assert not (tmp_path / "certs").exists()


def test_a_file_that_is_no_certificate_is_refused(tmp_path):
    for kind in ("pem", "key"):
        (tmp_path / f"ca.{kind}").write_text("not PEM")
    with pytest.raises(ConfigError, match=r"ca\.pem and ca\.key were not made by this command"):
        make_certs(tmp_path)


def test_the_command_says_what_was_made_and_what_to_set_next(tmp_path):
    command = [sys.executable, "-m", "arbiter", "certs", "mine", "--name", "arbiter.example.com"]
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "ARBITER_GRPC_TLS_CERT=mine/server.pem" in done.stdout
    assert "ARBITER_GRPC_TLS_CLIENT_CA=mine/ca.pem" in done.stdout
    assert "--ca ca.pem --cert client.pem --key client.key" in done.stdout
    assert "PRIVATE KEY" not in done.stdout
