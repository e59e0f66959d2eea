"""A Polymarket order: from a price and a size to the bytes and headers of its request, beside eth-account's signature of the same order.

`sign_us`: one of the desk's orders, of the key's own wallet: the market's rules, amounts, salt, struct, EIP-712 digest, signature,
body and the HMAC of L2.
`sign_vs_eth_account`: how many times as long `eth_account`'s `encode_typed_data` and `sign_message` take, on coincurve too, for the
same order: its signature alone, without all the rest. Both sign every order of a round, in turn, and the signatures are the same
bytes. Time is the thread's CPU time, of each the best round: eth-account's rounds are long, and by the wall clock would lose more to
whoever else has the core.
"""

import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, TypeVar

from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_keys.backends import CoinCurveECCBackend, get_backend

from arbiter.domain.book import Side
from arbiter.domain.ids import POLYMARKET, EventId, MarketId, MarketKey, OrderId, OutcomeId, UserId
from arbiter.domain.market import Market, Outcome, TickRange
from arbiter.domain.money import ONE, Micros
from arbiter.domain.order import Order, TimeInForce
from arbiter.venues.polymarket.contracts import POLYGON
from arbiter.venues.polymarket.eip712 import Domain, OrderFields
from arbiter.venues.polymarket.l2 import L2Credentials
from arbiter.venues.polymarket.new_order import NewOrder, Trader, new_order
from arbiter.venues.polymarket.signed_order import new_salt
from arbiter.venues.polymarket.signing_key import SigningKey
from arbiter.venues.polymarket.wallet import Wallet, WalletKind

TARGETS = {"sign_us": "<= 120", "sign_vs_eth_account": ">= 2.5"}
ORDERS = 20
ROUNDS, QUICK_ROUNDS = 300, 60
TICK = Micros(10_000)
NOW_S = 1_767_225_600
SECRET = b"made up for measuring, no money!"
TOKEN = "71321045679252212594626385532706912750332728571942532289631379312455583992563"
WORDS = (
    *("salt:uint256", "maker:address", "signer:address", "tokenId:uint256", "makerAmount:uint256", "takerAmount:uint256"),
    *("side:uint8", "signatureType:uint8", "timestamp:uint256", "metadata:bytes32", "builder:bytes32"),
)
TYPES = {"Order": [dict(zip(("name", "type"), each.split(":"), strict=True)) for each in WORDS]}

Given = TypeVar("Given")
Made = TypeVar("Made")


class _Desk:
    """What a running connector has at hand: its key, wallet and credentials, and the market."""

    def __init__(self, kind: WalletKind) -> None:
        self._random = Random(3)
        key = SigningKey(SECRET)
        api_key = "00000000-1111-2222-3333-444444444444"
        self._credentials = L2Credentials(key.address, api_key, "c2VjcmV0" * 5 + "c2U=", "phrase")
        # which address the wallet has makes no difference
        self._trader = Trader(key, Wallet(kind, key.address, key.address), self._credentials.api_key, POLYGON)
        ticks = (TickRange(TICK, Micros(ONE - TICK), TICK),)
        yes, no = Outcome(OutcomeId(TOKEN), "Yes"), Outcome(OutcomeId("1"), "No")
        name = MarketKey(POLYMARKET, MarketId("m"))
        self._market = Market(name, EventId("e"), "", yes, no, ticks, TICK, min_size=Micros(5 * ONE), generation="v1")

    def order(self, price: Micros) -> Order:
        """To buy 33.33 shares."""
        size = Micros(33_330_000)
        return Order(OrderId("o"), UserId("u"), self._market.yes_key, Side.BUY, price, size, TimeInForce.GTC, "k", NOW_S * 1000)

    def post(self, order: Order) -> tuple[NewOrder, dict[str, str]]:
        """Whole, as it would be sent."""
        made = new_order(self._trader, self._market, order, new_salt(self._random), NOW_S * 1000)
        return made, self._credentials.headers("POST", "/order", made.body, NOW_S)


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
    ours, deposit = _Desk(WalletKind.EOA), _Desk(WalletKind.DEPOSIT)
    orders = [ours.order(Micros(TICK * (1 + 4 * place))) for place in range(ORDERS)]
    reference = Account.from_key(SECRET)

    def theirs(typed: tuple[dict[str, Any], dict[str, Any]]) -> bytes:
        domain, message = typed
        signable = encode_typed_data(domain_data=domain, message_types=TYPES, message_data=message)
        return bytes(reference.sign_message(signable).signature)

    sign_s = reference_s = deposit_s = float("inf")
    for _ in range(QUICK_ROUNDS if quick else ROUNDS):
        spent, posted = _timed(ours.post, orders)
        sign_s = min(sign_s, spent)
        spent, signatures = _timed(theirs, [_typed(POLYGON.standard, made.signed.fields) for made, _ in posted])
        reference_s = min(reference_s, spent)
        assert signatures == [made.signed.signature for made, _ in posted]
        deposit_s = min(deposit_s, _timed(deposit.post, orders)[0])
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
