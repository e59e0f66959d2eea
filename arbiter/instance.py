"""What makes one instance its own: the secrets in its data folder, and its first accounts: the sandbox's and the operator's.

The sandbox makes its secrets at the first start; they live in the data folder, for its owner alone. One that was
damaged since is an error that says what removing it costs.
"""

import hmac
import re
import secrets

import msgspec

from arbiter.actors.accounts import CreateLinkCode, GetAccount, PutNewAccount, ReplaceApiKey
from arbiter.actors.accounts import Messages as AccountsMessages
from arbiter.data_folder import API_KEY_FILE, OPERATOR_KEY_FILE, DataFolder, Secret
from arbiter.domain.account import Account, Role, Tier
from arbiter.domain.ids import UserId
from arbiter.errors import ConfigError, NotFound
from arbiter.rpc.tokens import (
    PUBLIC_BYTES,
    Keys,
    RetiredKey,
    digest,
    is_signing_key,
    make_api_key,
    make_bot_credential,
    make_signing_key,
    rotated,
    split_api_key,
)
from arbiter.runtime import Ref

SANDBOX_USER = UserId("sandbox")
OPERATOR_USER = UserId("operator")
BOT_CREDENTIAL_FILE = "bot_credential"
ACCOUNT_SECONDS = 10.0


_REMOVE = "remove it and start again: a new one is made, and"
_SIGNING = Secret("token_key.pem", lambda text: is_signing_key(text.encode()), f"{_REMOVE} tokens given out before end")
_PEPPER = Secret(
    "api_key_pepper",
    re.compile("[0-9a-f]{64}").fullmatch,
    f"restore it, or remove it, {API_KEY_FILE} and {OPERATOR_KEY_FILE} and start again: "
    "new ones are made, and API keys given out before end",
)
_INSTANCE = Secret("instance", re.compile("[0-9a-f]{16}").fullmatch, f"{_REMOVE} tokens given out before end")
_BOT = Secret(BOT_CREDENTIAL_FILE, re.compile(r"[\w-]{43}", re.ASCII).fullmatch, f"{_REMOVE} a bot that runs elsewhere needs a copy")
_API_KEY, _OPERATOR_KEY = (
    Secret(name, re.compile(r"arb_[0-9a-f]{16}_[\w-]{43}", re.ASCII).fullmatch, f"{_REMOVE} the one before ends")
    for name in (API_KEY_FILE, OPERATOR_KEY_FILE)
)


_MASTER = Secret(
    "master_key",
    re.compile("[0-9a-f]{64}").fullmatch,
    f"restore it, or {_REMOVE} who enrolled an authenticator needs an operator to reset it",
)
_RETIRED = Secret("retired_token_keys", lambda text: _retired_in(text) is not None, f"{_REMOVE} tokens of the key before the last end")


def load_keys(folder: DataFolder, mode: str) -> tuple[Keys, str]:
    """The instance's keys, and the service credential of its Telegram bridge. Raises ConfigError where a secret is damaged."""
    signing = folder.read_or_make(_SIGNING, lambda: make_signing_key().decode())
    pepper = folder.read_or_make(_PEPPER, lambda: secrets.token_hex(32)).encode()
    master = bytes.fromhex(folder.read_or_make(_MASTER, lambda: secrets.token_hex(32)))
    retired = _retired_in(folder.read_secret(_RETIRED) or "[]") or ()
    instance = folder.read_or_make(_INSTANCE, lambda: secrets.token_hex(8))
    credential = folder.read_or_make(_BOT, make_bot_credential)
    for each in (_API_KEY, _OPERATOR_KEY):
        folder.read_secret(each)  # here, where nothing runs yet
    audience = f"arbiter:{mode}:{instance}"
    return Keys(signing.encode(), pepper, audience, digest(credential, pepper), retired, master), credential


def rotate_signing_key(folder: DataFolder, keys: Keys, now_ms: int) -> Keys:
    """A new key to sign tokens with; the one before goes on verifying until its last token has expired. Durable when this returns.

    For who holds the folder: `TokenAuthority.use` takes what this returns, without a restart. Raises ConfigError.
    """
    changed = rotated(keys, make_signing_key(), now_ms)
    # the retired one first: cut off between the two, it stands in both places, which says the same
    folder.write_private(_RETIRED.name, msgspec.json.encode(changed.retired).decode())
    folder.write_private(_SIGNING.name, changed.signing_pem.decode().strip())
    return changed


def _retired_in(text: str) -> tuple[RetiredKey, ...] | None:
    try:
        retired = msgspec.json.decode(text, type=tuple[RetiredKey, ...])
    except msgspec.DecodeError:
        return None
    return retired if all(len(each.public) == PUBLIC_BYTES for each in retired) else None


async def ensure_sandbox_account(accounts: Ref[AccountsMessages], folder: DataFolder, keys: Keys) -> Account:
    """The account that a newcomer uses, with an API key in the data folder. Raises ConfigError where the key there is not its own."""
    return await _ensure(Account(SANDBOX_USER, "Sandbox user", Tier.PRO), _API_KEY, accounts, folder, keys)


async def ensure_operator(accounts: Ref[AccountsMessages], folder: DataFolder, keys: Keys) -> Account:
    """The account of who runs the program, likewise: whoever reads the data folder operates it. It sees the tree and cannot trade."""
    return await _ensure(Account(OPERATOR_USER, "Operator", role=Role.OPERATOR), _OPERATOR_KEY, accounts, folder, keys)


async def _ensure(new: Account, secret: Secret, accounts: Ref[AccountsMessages], folder: DataFolder, keys: Keys) -> Account:
    """The account, made where there is none, and its key in the data folder."""
    try:
        account = await accounts.ask(GetAccount(new.user), timeout=ACCOUNT_SECONDS)
        if (key := folder.read_secret(secret)) is not None:
            _require_own(account, key, secret, folder, keys)
            return account
    except NotFound:
        await accounts.ask(PutNewAccount(new), timeout=ACCOUNT_SECONDS)
    text, stored = make_api_key(keys.pepper)
    account = await accounts.ask(ReplaceApiKey(new.user, stored), timeout=ACCOUNT_SECONDS)
    folder.write_private(secret.name, text)
    return account


def _require_own(account: Account, key: str, secret: Secret, folder: DataFolder, keys: Keys) -> None:
    """The key in the folder opens the account; not where the database or the pepper is another than it was made with."""
    key_id, text = split_api_key(key)
    known = account.api_key
    if known is None or key_id != known.key_id or not hmac.compare_digest(digest(text, keys.pepper), known.digest):
        raise ConfigError(f"{folder.path / secret.name} is not the key of account {account.user}", secret.cure)


async def new_link_code(accounts: Ref[AccountsMessages]) -> str:
    """A one-time code for the sandbox's account."""
    return (await accounts.ask(CreateLinkCode(SANDBOX_USER), timeout=ACCOUNT_SECONDS)).code
