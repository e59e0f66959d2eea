"""How the other commands reach a running program: its address and a key from its data folder, and calls of a line or two."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from arbiter.config import Settings
from arbiter.data_folder import API_KEY_FILE, RUNNING, DataFolder
from arbiter.errors import ConfigError
from arbiter.rpc.client import ArbiterClient, ArbiterClientError
from arbiter.rpc.client_address import read_address
from arbiter.rpc.client_tls import ClientTls


@dataclass(frozen=True)
class Reached:
    """Where a running program on this data folder can be reached, and with which key."""

    address: str
    api_key: str


class _Running(msgspec.Struct):
    grpc: str


def find_running(settings: Settings, key_file: str = API_KEY_FILE) -> Reached:
    """The program that runs on the settings' data folder, with the key in this file. Raises ConfigError where there is none."""
    folder = DataFolder(Path(settings.data).expanduser())
    running, key = folder.read_text(RUNNING), folder.read_text(key_file)
    if running is None or key is None:
        raise ConfigError(
            f"no Arbiter is running on the data folder {folder.path}", "start it with ./just run, or name its folder with --data"
        )
    try:
        return Reached(msgspec.json.decode(running, type=_Running).grpc, key)
    except msgspec.DecodeError:
        raise ConfigError(f"{folder.path / RUNNING} is damaged", "start ./just run again; it writes the file anew") from None


def find_key(settings: Settings, key_file: str = API_KEY_FILE) -> str:
    """The key in this file of the data folder, for a server elsewhere. Raises ConfigError where there is none."""
    folder = DataFolder(Path(settings.data).expanduser())
    key = folder.read_text(key_file)
    if not key:
        raise ConfigError(
            f"there is no key in {folder.path / key_file}", "copy it from the server's data folder, or name its folder with --data"
        )
    return key


def tls_of(settings: Settings) -> ClientTls:
    """What the commands trust and show where they reach a server over TLS."""
    named = (settings.grpc_ca, settings.grpc_client_cert, settings.grpc_client_key)
    return ClientTls(*(str(Path(each).expanduser()) if each else "" for each in named))


def require_address(server: str, tls: ClientTls) -> None:
    """Raises ConfigError for what cannot be the address of a server, for one that secrets would reach over the network in clear,
    and for PEM files that cannot be used."""
    try:
        address = read_address(server)
    except ArbiterClientError as error:
        raise ConfigError(f"--server: {error}", "give the address that the server prints, such as 127.0.0.1:50051") from None
    if not (address.here or address.tls or any(tls)):
        cure = f"give --ca FILE, or https://{server} where a public authority signed its certificate"
        raise ConfigError(f"--server: {server} is not this machine itself, and secrets would go there in clear", cure)
    try:
        tls.context()
    except ArbiterClientError as error:
        raise ConfigError(str(error), "look at --ca, --cert and --key") from None


async def make_link_code(address: str, api_key: str, tls: ClientTls) -> str:
    """A one-time code for the key's account. Raises ArbiterClientError."""
    async with ArbiterClient.open(address, **tls._asdict()) as client:
        await client.authenticate(api_key)
        return (await client.create_link_code()).code
