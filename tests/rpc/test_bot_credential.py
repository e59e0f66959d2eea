"""Where the bot's credential is looked at: only on a connection that proves who is there."""

import pytest

from arbiter.rpc import server as server_module
from arbiter.rpc.client import ArbiterClient, AuthenticationError, NotFoundError, NotPermittedError

CREDENTIAL = "credential of the bridge"
PHONE = 4711


@pytest.mark.parametrize("credential", [CREDENTIAL, "wrong"])
async def test_from_elsewhere_without_a_certificate_it_is_refused_and_nothing_is_told_of_it(program, monkeypatch, credential):
    monkeypatch.setattr(server_module, "is_loopback", lambda peer: False)
    async with ArbiterClient.open(program.address) as client:
        with pytest.raises(NotPermittedError, match="taken from this machine or over mutual TLS only"):
            await client.authenticate_bot(credential, PHONE)
        with pytest.raises(NotPermittedError, match="taken from this machine or over mutual TLS only"):
            await client.redeem_link_code(credential, "code", PHONE, "Pat")
        await client.authenticate(program.api_keys["pro"])
        assert (await client.get_profile()).user == "pro"


async def test_on_this_machine_it_is_looked_at(program):
    async with ArbiterClient.open(program.address) as client:
        with pytest.raises(AuthenticationError):
            await client.authenticate_bot("wrong", PHONE)
        with pytest.raises(NotFoundError):
            await client.authenticate_bot(CREDENTIAL, PHONE)
