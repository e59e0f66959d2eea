"""A Polymarket order: from a price and a size to the bytes and headers of its request, beside eth-account's signature of the same order.

`sign_us`: amounts, salt, struct, EIP-712 digest, signature, body and the HMAC of L2, for one order of the key's own wallet.
`sign_vs_eth_account`: how many times as long `eth_account`'s `encode_typed_data` and `sign_message` take, on coincurve too, for the
same order: its signature alone, with neither amounts nor body nor HMAC. Both sign every order of a round, in turn, and the
signatures are the same bytes. Time is the thread's CPU time, of each the best round: eth-account's rounds are long, and
by the wall clock would lose more to whoever else has the core.
"""

import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, TypeVar

from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_keys.backends import CoinCurveECCBackend, get_backend

from arbiter.domain.book import Side
from arbiter.domain.money import Micros
from arbiter.venues.polymarket.amounts import limit_amounts
from arbiter.venues.polymarket.contracts import POLYGON
from arbiter.venues.polymarket.eip712 import Domain, OrderFields
from arbiter.venues.polymarket.l2 import L2Credentials
from arbiter.venues.polymarket.order_terms import OrderType, Terms
from arbiter.venues.polymarket.signed_order import SignedOrder, new_salt, order_body, order_fields, sign_order
from arbiter.venues.polymarket.signing_key import SigningKey
from arbiter.venues.polymarket.wallet import Wallet, WalletKind

TARGETS = {"sign_us": "<= 120", "sign_vs_eth_account": ">= 2.5"}
ORDERS = 20
ROUNDS, QUICK_ROUNDS = 300, 60
TICK = Micros(10_000)
NOW_S = 1_767_225_600
SECRET = b"made up for measuring, no money!"
TOKEN = 71321045679252212594626385532706912750332728571942532289631379312455583992563
WORDS = (
    *("salt:uint256", "maker:address", "signer:address", "tokenId:uint256", "makerAmount:uint256", "takerAmount:uint256"),
    *("side:uint8", "signatureType:uint8", "timestamp:uint256", "metadata:bytes32", "builder:bytes32"),
)
TYPES = {"Order": [dict(zip(("name", "type"), each.split(":"), strict=True)) for each in WORDS]}

Given = TypeVar("Given")
Made = TypeVar("Made")


class _Desk:
    """What a running connector has at hand: its key, wallet and credentials."""

    def __init__(self, kind: WalletKind) -> None:
        self._random = Random(3)
        self._key = SigningKey(SECRET)
        self._wallet = Wallet(kind, self._key.address, self._key.address)  # which address it has makes no difference
        self._credentials = L2Credentials(self._key.address, "00000000-1111-2222-3333-444444444444", "c2VjcmV0" * 5 + "c2U=", "phrase")

    def post(self, price: Micros) -> tuple[SignedOrder, bytes, dict[str, str]]:
        """An order of 33.33 shares, whole, as it would be sent."""
        exchange = POLYGON.exchange_for("v1", False, TOKEN)
        terms = Terms(OrderType.GTC)
        terms.check(NOW_S)
        amounts = limit_amounts(Side.BUY, price, Micros(33_330_000), TICK)
        fields = order_fields(self._wallet, TOKEN, Side.BUY, amounts, new_salt(self._random), NOW_S * 1000)
        order = sign_order(self._key, self._wallet, exchange, fields)
        body = order_body(order, terms, self._credentials.api_key)
        return order, body, self._credentials.headers("POST", "/order", body, NOW_S)


def _typed(domain: Domain, fields: OrderFields) -> tuple[dict[str, Any], dict[str, Any]]:
    """The domain and the message as eth-account takes them; made in time that is not counted."""
    message = {
        "salt": fields.salt,
        "maker": fields.maker,
        "signer": fields.signer,
        "tokenId": fields.token,
        "makerAmount": fields.maker_amount,
        "takerAmount": fields.taker_amount,
        "side": fields.side,
        "signatureType": fields.signature_type,
        "timestamp": fields.timestamp_ms,
        "metadata": fields.metadata,
        "builder": fields.builder,
    }
    named = {"name": domain.name, "version": domain.version, "chainId": domain.chain_id, "verifyingContract": domain.contract}
    return named, message


def measure(*, quick: bool) -> dict[str, Any]:
    """The figures, and what a deposit wallet's order takes: it hashes a second struct."""
    assert isinstance(get_backend(), CoinCurveECCBackend), "eth-account has to sign with coincurve, too"
    prices = [Micros(TICK * (1 + 4 * place)) for place in range(ORDERS)]
    ours, deposit = _Desk(WalletKind.EOA), _Desk(WalletKind.DEPOSIT)
    reference = Account.from_key(SECRET)

    def theirs(typed: tuple[dict[str, Any], dict[str, Any]]) -> bytes:
        domain, message = typed
        signable = encode_typed_data(domain_data=domain, message_types=TYPES, message_data=message)
        return bytes(reference.sign_message(signable).signature)

    sign_s = reference_s = deposit_s = float("inf")
    for _ in range(QUICK_ROUNDS if quick else ROUNDS):
        spent, posted = _timed(ours.post, prices)
        sign_s = min(sign_s, spent)
        spent, signatures = _timed(theirs, [_typed(POLYGON.standard, order.fields) for order, _, _ in posted])
        reference_s = min(reference_s, spent)
        assert signatures == [order.signature for order, _, _ in posted]
        deposit_s = min(deposit_s, _timed(deposit.post, prices)[0])
    return {
        "sign_us": round(sign_s * 1e6, 1),
        "sign_deposit_us": round(deposit_s * 1e6, 1),
        "eth_account_us": round(reference_s * 1e6, 1),
        "sign_vs_eth_account": round(reference_s / sign_s, 2),
    }


def _timed(work: Callable[[Given], Made], given: Sequence[Given]) -> tuple[float, list[Made]]:
    began = time.thread_time()
    made = [work(each) for each in given]
    return (time.thread_time() - began) / len(given), made
