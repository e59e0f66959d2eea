"""What makes one instance its own: the secrets in its data folder, and the sandbox's first account.

The sandbox makes its secrets at the first start; they live in the data folder, for its owner alone.
"""

import secrets

from arbiter.actors.accounts import CreateLinkCode, GetAccount, PutNewAccount, ReplaceApiKey
from arbiter.actors.accounts import Messages as AccountsMessages
from arbiter.data_folder import API_KEY_FILE, DataFolder
from arbiter.domain.account import Account, Tier
from arbiter.domain.ids import UserId
from arbiter.errors import NotFound
from arbiter.rpc.tokens import Keys, digest, make_api_key, make_bot_credential, make_signing_key
from arbiter.runtime import Ref

SANDBOX_USER = UserId("sandbox")
BOT_CREDENTIAL_FILE = "bot_credential"
ACCOUNT_SECONDS = 10.0


def load_keys(folder: DataFolder, mode: str) -> tuple[Keys, str]:
    """The instance's keys, and the service credential of its Telegram bridge."""
    signing = folder.read_or_make("token_key.pem", lambda: make_signing_key().decode())
    pepper = folder.read_or_make("api_key_pepper", lambda: secrets.token_hex(32)).encode()
    instance = folder.read_or_make("instance", lambda: secrets.token_hex(8))
    credential = folder.read_or_make(BOT_CREDENTIAL_FILE, make_bot_credential)
    return Keys(signing.encode(), pepper, f"arbiter:{mode}:{instance}", digest(credential, pepper)), credential


async def ensure_sandbox_account(accounts: Ref[AccountsMessages], folder: DataFolder, keys: Keys) -> Account:
    """The account that a newcomer uses, with an API key in the data folder."""
    try:
        account = await accounts.ask(GetAccount(SANDBOX_USER), timeout=ACCOUNT_SECONDS)
        if folder.read_text(API_KEY_FILE) is not None:
            return account
    except NotFound:
        await accounts.ask(PutNewAccount(Account(SANDBOX_USER, "Sandbox user", Tier.PRO)), timeout=ACCOUNT_SECONDS)
    text, stored = make_api_key(keys.pepper)
    account = await accounts.ask(ReplaceApiKey(SANDBOX_USER, stored), timeout=ACCOUNT_SECONDS)
    folder.write_private(API_KEY_FILE, text)
    return account


async def new_link_code(accounts: Ref[AccountsMessages]) -> str:
    """A one-time code for the sandbox's account."""
    return (await accounts.ask(CreateLinkCode(SANDBOX_USER), timeout=ACCOUNT_SECONDS)).code
