"""An order, signed: its id, its signature and the body that posts it (A5.2, A5.4). Pure: time and randomness are handed in.

The order's id at the venue is the digest that is signed, so it is known, and to be stored, before anything is sent.
"""

from random import Random
from typing import NewType

import msgspec

from arbiter.domain.book import Side
from arbiter.venues.polymarket.addresses import Address, address_word
from arbiter.venues.polymarket.amounts import Amounts
from arbiter.venues.polymarket.eip712 import ORDER_TYPE, ZERO_WORD, Domain, OrderFields, digest, nested_hash, order_hash, word
from arbiter.venues.polymarket.l2 import ApiKey
from arbiter.venues.polymarket.order_rules import OrderRefused, OrderRule
from arbiter.venues.polymarket.order_terms import Terms
from arbiter.venues.polymarket.signing_key import SigningKey
from arbiter.venues.polymarket.wallet import Wallet, WalletKind

OrderHash = NewType("OrderHash", str)
"""The venue's id of an order: `0x` and 64 hex digits."""

MOST_IN_BATCH = 15
"""Orders of one `POST /orders`."""
SALT_BITS = 53
"""As many as a JSON number carries anywhere."""
_TYPE_TAIL = ORDER_TYPE.encode() + len(ORDER_TYPE).to_bytes(2, "big")
_SESSION_TAIL = bytes.fromhex("6492" * 16)


class SignedOrder(msgspec.Struct, frozen=True):
    """What is posted. `signature` is 65 bytes, of a deposit wallet 317, by its session key 480."""

    id: OrderHash
    fields: OrderFields
    signature: bytes


def new_salt(random: Random) -> int:
    """What makes one order's id differ from that of another of the same content."""
    return random.getrandbits(SALT_BITS)


def order_fields(
    wallet: Wallet, token: int, side: Side, amounts: Amounts, salt: int, now_ms: int, builder: bytes = ZERO_WORD
) -> OrderFields:
    """The fields to sign. `builder` is the code of who gets the builder's fee; zero is nobody. OrderRefused unless it is 32 bytes."""
    if len(builder) != len(ZERO_WORD):
        raise OrderRefused(OrderRule.BAD_BUILDER, "builder", "a builder's code has 32 bytes")
    return OrderFields(
        salt=salt,
        maker=wallet.address,
        signer=wallet.order_signer,
        token=token,
        maker_amount=amounts.maker,
        taker_amount=amounts.taker,
        side=0 if side is Side.BUY else 1,
        signature_type=int(wallet.kind),
        timestamp_ms=now_ms,
        builder=builder,
    )


def sign_order(key: SigningKey, wallet: Wallet, exchange: Domain, fields: OrderFields) -> SignedOrder:
    """The order for that exchange (`Chain.exchange_for`). ValueError where key, wallet and fields do not belong together."""
    if key.address != wallet.key_address or fields.maker != wallet.address or fields.signature_type != wallet.kind:
        raise ValueError("the order is another wallet's, or the wallet another key's")
    contents = order_hash(fields)
    signed = digest(exchange, contents)
    if wallet.kind is not WalletKind.DEPOSIT:
        signature = key.sign(signed)
    else:
        nested = digest(exchange, nested_hash(contents, exchange.chain_id, wallet.address))
        # the wallet's contract is told what it cannot know, to find out that this order is in what was signed (ERC-7739)
        signature = key.sign(nested) + exchange.separator + contents + _TYPE_TAIL
        if wallet.session:
            signature = wrapped_by_session(key.address, signature)
    return SignedOrder(OrderHash("0x" + signed.hex()), fields, signature)


def wrapped_by_session(session: Address, signature: bytes) -> bytes:
    """A session key's signature, with who gave it: `abi.encode(bytes32 id, bytes32 0, bytes signature)` and a mark (A3.3)."""
    padding = bytes(-len(signature) % 32)
    return address_word(session) + ZERO_WORD + word(96) + word(len(signature)) + signature + padding + _SESSION_TAIL


def order_body(order: SignedOrder, terms: Terms, owner: ApiKey) -> bytes:
    """The body of `POST /order`, and one element of `POST /orders`, as the venue's client writes it. L2 signs these very bytes.

    `terms` are checked by then. All but `owner`, which is encoded, is a number, hex, or a word of ours.
    """
    fields = order.fields
    post_only = ',"postOnly":true' if terms.post_only else ""
    return (
        (
            f'{{"deferExec":false,"order":{{"builder":"0x{fields.builder.hex()}","expiration":"{terms.expires_s}","maker":"{fields.maker}",'
            f'"makerAmount":"{fields.maker_amount}","metadata":"0x{fields.metadata.hex()}","salt":{fields.salt},'
            f'"side":"{"SELL" if fields.side else "BUY"}","signature":"0x{order.signature.hex()}","signatureType":{fields.signature_type},'
            f'"signer":"{fields.signer}","takerAmount":"{fields.taker_amount}","timestamp":"{fields.timestamp_ms}",'
            f'"tokenId":"{fields.token}"}},"orderType":"{terms.type.value}","owner":'
        ).encode()
        + msgspec.json.encode(owner)
        + post_only.encode()
        + b"}"
    )


def batch_body(orders: list[bytes]) -> bytes:
    """The body of `POST /orders`, of 1 to 15 of `order_body`. ValueError for none and for more."""
    if not 0 < len(orders) <= MOST_IN_BATCH:
        raise ValueError(f"a batch has 1 to {MOST_IN_BATCH} orders, not {len(orders)}")
    return b"[" + b",".join(orders) + b"]"
