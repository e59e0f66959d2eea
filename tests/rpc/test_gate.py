"""The gate: nobody passes without a token, nobody asks for more than their tier has, operators' calls are operators'."""

import importlib
import pkgutil

import grpc
import jwt
import msgspec
import pytest
import trio
from cryptography.hazmat.primitives import serialization

import arbiter.v1
from arbiter.actors.accounts import AccountChanged
from arbiter.domain.account import Account, Role, TelegramLink, Tier
from arbiter.domain.families import opened
from arbiter.domain.ids import UserId
from arbiter.domain.limits import TIERS
from arbiter.errors import LimitExceeded, NotAllowed, NotRunning, Unauthenticated
from arbiter.rpc.failures import CHECKS_PER_SECOND, FAILURES_A_MINUTE
from arbiter.rpc.gate import FOR_THE_BOT, OPEN_METHODS, Gate
from arbiter.rpc.tokens import Keys, TokenAuthority, make_signing_key
from arbiter.v1 import admin_pb2, notification_pb2, trading_pb2, user_pb2

TRADING = ("arbiter.v1.TradingService", "GetPositions")
ADMIN = ("arbiter.v1.AdminService", "ListActors")
OPEN = ("arbiter.v1.UserService", "Authenticate")
ME = UserId("me")


class Call:
    """What a server hands to a service."""

    def __init__(self, caller, token):
        self.caller = caller
        self.custom_metadata = [("authorization", f"Bearer {token}")]
        self.ended_with = []
        self.end = self.ended_with.append


class Door:
    """A gate, an account named `me`, and its token."""

    def __init__(self, core, keys, clock):
        self.keys = keys
        self.tokens = TokenAuthority(keys, clock.environment)
        self.gate = Gate(core, self.tokens)
        self._core = core

    def account(self, tier=Tier.FREE, role=Role.TRADER, **more):
        account = Account(ME, "Me", tier, role, **more)
        self._core.account_changes.publish(ME, AccountChanged(account))
        return account

    def enter(self, call=TRADING, token=None):
        return self.gate.admit(*call, [("authorization", f"Bearer {token or self.tokens.issue(ME)[0]}")])

    def spend_all(self, token=None):
        """All that tier free has at once, and one more."""
        for _ in range(20):
            self.enter(token=token)
        with pytest.raises(LimitExceeded, match="tier free"):
            self.enter(token=token)


@pytest.fixture
def door(core, keys, clock):
    return Door(core, keys, clock)


# -- who --


def test_a_valid_token_brings_its_account(door):
    account = door.account()
    assert door.enter() == account


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_may_be_spelt_in_any_case(door, scheme):
    door.account()
    assert door.gate.admit(*TRADING, [("authorization", f"{scheme} {door.tokens.issue(ME)[0]}")])


@pytest.mark.parametrize(
    "metadata",
    [
        [],
        [("authorization", "")],
        [("authorization", "Bearer ")],
        [("authorization", "Basic bWU6bWU=")],
        [("authorization", b"Bearer x")],
        [("authorization", "Bearer x"), ("authorization", "Bearer y")],
        [("x-authorization", "Bearer x")],
        [("authorization", "Bearer garbled.token.here")],
    ],
)
def test_a_missing_or_garbled_token_is_unauthenticated(door, metadata):
    door.account()
    with pytest.raises(Unauthenticated):
        door.gate.admit(*TRADING, metadata)


def test_a_token_alone_without_the_scheme_is_unauthenticated(door):
    door.account()
    with pytest.raises(Unauthenticated):
        door.gate.admit(*TRADING, [("authorization", door.tokens.issue(ME)[0])])


def test_two_tokens_are_unauthenticated_even_where_one_is_valid(door):
    door.account()
    valid = ("authorization", f"Bearer {door.tokens.issue(ME)[0]}")
    with pytest.raises(Unauthenticated):
        door.gate.admit(*TRADING, [valid, valid])


def test_an_expired_token_is_unauthenticated(door, clock):
    door.account()
    token, _ = door.tokens.issue(ME)
    door.enter(token=token)
    clock.seconds += 15 * 60
    with pytest.raises(Unauthenticated):
        door.enter(token=token)


@pytest.mark.parametrize("wrong", ["audience", "key", "algorithm"])
def test_a_token_for_another_audience_by_another_key_or_without_signature_is_unauthenticated(door, keys, clock, wrong):
    door.account()
    if wrong == "audience":
        token, _ = TokenAuthority(Keys(keys.signing_pem, b"", "arbiter:live:1"), clock.environment).issue(ME)
    elif wrong == "key":
        token, _ = TokenAuthority(Keys(make_signing_key(), b"", keys.audience), clock.environment).issue(ME)
    else:
        known = door.tokens.issue(ME)[0]
        claims = jwt.decode(known, options={"verify_signature": False})
        token = jwt.encode(claims, None, algorithm="none", headers={"kid": jwt.get_unverified_header(known)["kid"]})
    with pytest.raises(Unauthenticated):
        door.enter(token=token)


def test_a_valid_token_of_an_account_that_does_not_exist_is_unauthenticated(door):
    door.account()
    with pytest.raises(Unauthenticated, match="does not exist"):
        door.enter(token=door.tokens.issue(UserId("somebody"))[0])


def test_while_accounts_are_being_loaded_the_answer_is_to_try_again(door):
    with pytest.raises(NotRunning, match="accounts is not running just now; nothing was sent"):
        door.enter()


def test_a_suspended_account_still_comes_in_so_that_it_can_read_cancel_and_reduce(door):
    door.account(suspended=True)
    assert door.enter().suspended


# -- how much --


@pytest.mark.parametrize("tier", Tier)
def test_requests_are_limited_by_tier_with_bursts_of_twice_that(door, clock, tier):
    door.account(tier)
    a_second = TIERS[tier].requests_per_second
    for _ in range(2 * a_second):
        door.enter()
    with pytest.raises(LimitExceeded, match=f"more than {a_second} requests a second .tier {tier.value}") as caught:
        door.enter()
    assert 1 <= caught.value.retry_after_ms <= 1000 // a_second + 1
    clock.seconds += caught.value.retry_after_ms / 1000
    door.enter()
    with pytest.raises(LimitExceeded):
        door.enter()


def test_who_is_refused_may_come_again_after_a_second_at_the_full_rate(door, clock):
    door.account(Tier.FREE)
    door.spend_all()
    clock.seconds += 1.001
    for _ in range(10):
        door.enter()


STOP = ("arbiter.v1.TradingService", "EmergencyStop")
CANCEL = ("arbiter.v1.TradingService", "CancelOrder")
STATE = ("arbiter.v1.TradingService", "GetTradingState")


@pytest.mark.parametrize("stop", [STOP, ("arbiter.v1.AdminService", "HaltAll")])
def test_a_stop_is_never_refused_for_its_number_or_that_of_others(door, stop):
    door.account(Tier.FREE, Role.OPERATOR)
    token, _ = door.tokens.issue(ME)
    door.spend_all(token)
    with pytest.raises(LimitExceeded):  # noqa: PT012 one of many is
        for _ in range(100):
            door.enter(CANCEL, token)
    for _ in range(2_000):
        assert door.enter(stop, token).user == ME


def test_cancels_are_not_held_up_by_other_calls_nor_by_stops_and_reading_the_state_is_a_call_like_others(door):
    door.account(Tier.FREE)
    token, _ = door.tokens.issue(ME)
    door.spend_all(token)
    with pytest.raises(LimitExceeded, match="tier free"):
        door.enter(STATE, token)
    for _ in range(100):
        door.enter(STOP, token)
    for _ in range(40):
        door.enter(CANCEL, token)
    with pytest.raises(LimitExceeded, match="more than 20 cancels a second"):
        door.enter(CANCEL, token)


def test_a_change_of_tier_counts_at_once_on_the_old_token(door):
    door.account(Tier.FREE)
    token, _ = door.tokens.issue(ME)
    door.spend_all(token)
    door.account(Tier.PRO)
    for _ in range(100):
        door.enter(token=token)
    door.account(Tier.FREE)
    door.spend_all(token)


def test_users_do_not_spend_each_others_requests(door, core):
    door.account(Tier.FREE)
    other = Account(UserId("other"), "Other")
    core.account_changes.publish(other.user, AccountChanged(other))
    door.spend_all()
    assert door.enter(token=door.tokens.issue(other.user)[0]) == other


def test_sign_ins_need_no_token_and_nobody_can_use_them_up(door):
    for _ in range(1_000):
        assert door.gate.admit(*OPEN, []) is None


@pytest.mark.parametrize("tier", Tier)
def test_open_streams_are_limited_by_tier_and_an_ended_one_makes_room(door, tier):
    call = Call(door.account(tier), door.tokens.issue(ME)[0])
    most = TIERS[tier].streams
    streams = [door.gate.stream(call) for _ in range(most)]
    for stream in streams:
        stream.__enter__()
    with pytest.raises(LimitExceeded, match=f"{most} streams are open already, the most in tier {tier.value}"), door.gate.stream(call):
        pass
    streams.pop().__exit__(None, None, None)
    with door.gate.stream(call):
        pass
    for stream in streams:
        stream.__exit__(None, None, None)
    assert door.gate._streams == {}


# -- operators --


def test_an_operators_call_is_for_operators_alone(door):
    door.account(Tier.ENTERPRISE, Role.TRADER)
    with pytest.raises(NotAllowed, match="this needs the role operator"):
        door.enter(ADMIN)
    door.account(Tier.FREE, Role.OPERATOR)
    assert door.enter(ADMIN).role is Role.OPERATOR


def test_an_unknown_method_of_the_operators_service_is_for_operators_too(door):
    door.account()
    with pytest.raises(NotAllowed):
        door.enter(("arbiter.v1.AdminService", "Nothing"))


def every_method():
    """(service, method) of all that the contract has."""
    for module in pkgutil.iter_modules(arbiter.v1.__path__):
        if module.name.endswith("_pb2"):
            file = importlib.import_module(f"arbiter.v1.{module.name}").DESCRIPTOR
            for service in file.services_by_name.values():
                yield from ((service.full_name, method.name) for method in service.methods)


# -- the bot --

PHONE, OTHER_PHONE = 4711, 4712
CREDENTIALS = ("CreateLinkCode", "RevokeTokens", "RotateApiKey", "EnrolTotp", "ConfirmTotp", "DisableTotp", "GetTotpStatus")
CLOSED_TO_THE_BOT = {
    *(("arbiter.v1.UserService", name) for name in CREDENTIALS),
    *(("arbiter.v1.AdminService", name) for name in ("ListActors", "CreateUser", "SetTier", "ListUsers", "SuspendUser", "ResumeAll")),
    ("arbiter.v1.AdminService", "ForgetAuthenticator"),
}
"""A new method stands here or in the gate's list: somebody must have decided."""


def test_every_method_is_either_open_listed_for_the_bot_or_refused_to_it(door):
    door.account(Tier.ENTERPRISE, Role.OPERATOR, telegram=TelegramLink(PHONE, "phone", 1))
    token, _ = door.tokens.issue_to_bot(ME, PHONE)
    assert set(every_method()) == OPEN_METHODS | FOR_THE_BOT | CLOSED_TO_THE_BOT
    for call in FOR_THE_BOT:
        assert door.enter(call, token).user == ME
    for call in (*CLOSED_TO_THE_BOT, ("arbiter.v1.TradingService", "Nothing"), ("arbiter.v1.Nothing", "GetProfile")):
        with pytest.raises(NotAllowed, match="cannot be done from Telegram"):
            door.enter(call, token)


@pytest.mark.parametrize("linked", [None, TelegramLink(OTHER_PHONE, "another phone", 2)])
def test_a_token_that_the_bot_got_for_one_telegram_account_is_worth_nothing_once_another_or_none_is_linked(door, linked):
    door.account(telegram=TelegramLink(PHONE, "phone", 1))
    token, _ = door.tokens.issue_to_bot(ME, PHONE)
    assert door.enter(token=token).user == ME
    door.account(telegram=linked)
    for call in (TRADING, ("arbiter.v1.TradingService", "EmergencyStop"), ADMIN):
        with pytest.raises(Unauthenticated, match="not linked"):
            door.enter(call, token)


# -- sign-ins that ended --


def test_a_token_of_a_family_that_does_not_live_is_worth_nothing_and_while_that_is_not_known_the_answer_is_to_try_again(door, core):
    account = door.account()
    token, _ = door.tokens.issue(ME, family="f")
    with pytest.raises(NotRunning, match="credentials"):
        door.enter(token=token)
    core.families.load([opened("f", "h", account, b"d", 1_800_000_000_000)])
    assert door.enter(token=token) == account
    core.families.end("f")
    with pytest.raises(Unauthenticated, match="sign-in has ended"):
        door.enter(token=token)


def test_a_family_of_another_user_opens_nothing(door, core):
    account = door.account()
    core.families.load([opened("f", "h", msgspec.structs.replace(account, user=UserId("other")), b"d", 1_800_000_000_000)])
    with pytest.raises(Unauthenticated, match="sign-in has ended"):
        door.enter(token=door.tokens.issue(ME, family="f")[0])


def test_a_family_that_expires_ends_its_tokens(door, core, clock):
    account = door.account()
    core.families.load([opened("f", "h", account, b"d", 1_800_000_000_000)])
    clock.seconds += 7 * 86_400 - 1
    token, _ = door.tokens.issue(ME, family="f")
    assert door.enter(token=token) == account
    clock.seconds += 1
    with pytest.raises(Unauthenticated):
        door.enter(token=token)


def test_tokens_of_an_earlier_epoch_are_worth_nothing_the_bots_too(door):
    phone = TelegramLink(PHONE, "phone", 1)
    door.account(telegram=phone)
    tokens = [door.tokens.issue(ME)[0], door.tokens.issue_to_bot(ME, PHONE)[0]]
    for token in tokens:
        door.enter(token=token)
    door.account(telegram=phone, session_epoch=1)
    for token in tokens:
        with pytest.raises(Unauthenticated):
            door.enter(token=token)
    door.enter(token=door.tokens.issue(ME, epoch=1)[0])


def test_who_watches_is_told_once_when_the_sign_in_ends_and_leaves_nothing_behind(door, core):
    account = door.account()
    core.families.load([opened("f", "h", account, b"d", 1_800_000_000_000)])
    call, told = Call(account, door.tokens.issue(ME, family="f")[0]), []
    with door.gate.watch(call, lambda: told.append(1)):
        door.account(Tier.PRO)
        assert told == []
        core.families.end("f")
        core.families.end("f")
        door.account(session_epoch=1)
        assert told == [1]
    assert core.account_changes.subscribers == core.families.ended.subscribers == 0


def test_a_stream_ends_its_call_when_the_sign_in_ends(door):
    account = door.account()
    call = Call(account, door.tokens.issue(ME)[0])
    with door.gate.stream(call):
        door.account(session_epoch=1)
        (error,) = call.ended_with
        assert isinstance(error, Unauthenticated)
    assert door.gate._streams == {}


# -- failures --


def test_bad_tokens_are_throttled_by_address_and_a_valid_or_an_expired_one_from_there_is_not(door, clock):
    door.account(Tier.ENTERPRISE)
    valid, expired = door.tokens.issue(ME)[0], door.tokens.issue(ME)[0]
    door.tokens.forget(expired)
    past = TokenAuthority(door.keys, clock.environment)
    clock.seconds -= 3600
    expired, _ = past.issue(ME)
    clock.seconds += 3600
    outcomes = []
    for number in range(FAILURES_A_MINUTE + 30):
        with pytest.raises((Unauthenticated, LimitExceeded)) as caught:
            door.gate.admit(*TRADING, [("authorization", f"Bearer a.b.{number}")], "1.2.3.4:5")
        outcomes.append(type(caught.value))
        assert door.gate.admit(*TRADING, [("authorization", f"Bearer {valid}")], "1.2.3.4:5").user == ME
    assert outcomes == [Unauthenticated] * FAILURES_A_MINUTE + [LimitExceeded] * 30
    with pytest.raises(Unauthenticated):
        door.gate.admit(*TRADING, [("authorization", f"Bearer {expired}")], "1.2.3.4:5")
    with pytest.raises(Unauthenticated):
        door.gate.admit(*TRADING, [("authorization", "Bearer a.b.c")], "1.2.3.5:5")


def test_an_address_that_failed_too_often_gets_no_more_signatures_verified_than_a_few_a_second(door, monkeypatch):
    door.account()
    looked = []
    check = door.tokens._check
    monkeypatch.setattr(door.tokens, "_check", lambda token: looked.append(token) or check(token))
    for number in range(500):
        with pytest.raises((Unauthenticated, LimitExceeded)):
            door.gate.admit(*TRADING, [("authorization", f"Bearer a.b.{number}")], "1.2.3.4:5")
    assert len(looked) == FAILURES_A_MINUTE + CHECKS_PER_SECOND


# -- the same on the wire --


async def test_every_method_but_the_open_ones_refuses_a_caller_without_a_valid_token(program, make_official):
    official = make_official(program.address)
    closed = set(every_method()) - OPEN_METHODS
    assert len(closed) >= 14
    for service, method in closed:
        error = await official.refusal(f"{service}/{method}", user_pb2.ProfileRequest())
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED, method
        assert dict(error.trailing_metadata())["arbiter-reason"] == "UNAUTHENTICATED"
    codes = set()
    for service, method in closed:
        metadata = (("authorization", "Bearer garbled"),)
        codes.add((await official.refusal(f"{service}/{method}", user_pb2.ProfileRequest(), metadata=metadata)).code())
    # the second after too many
    assert codes == {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.RESOURCE_EXHAUSTED}


async def test_over_the_rate_the_wire_says_resource_exhausted_and_when_to_come_back(program, make_official):
    official = make_official(program.address)
    call = ("arbiter.v1.UserService/GetProfile", user_pb2.ProfileRequest(), user_pb2.ProfileResponse)
    errors = []

    async def ask():
        try:
            await official.call(*call, metadata=program.bearer("free"))
        except grpc.RpcError as error:
            errors.append(error)

    async with trio.open_nursery() as nursery:
        for _ in range(60):
            nursery.start_soon(ask)
    assert 20 <= len(errors) <= 40
    for error in errors:
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert 1 <= int(dict(error.trailing_metadata())["retry-after-ms"]) <= 101


async def test_the_streams_of_a_user_are_limited_by_tier_on_the_wire(program, make_official):
    official = make_official(program.address)
    metadata = program.bearer("free")
    path = "arbiter.v1.TradingService/StreamPositions"
    calls = [official.stream(path, trading_pb2.PositionsRequest(), trading_pb2.PositionUpdate, metadata=metadata) for _ in range(2)]
    for call in calls:
        assert (await official.first(call)).snapshot
    third = official.stream(path, trading_pb2.PositionsRequest(), trading_pb2.PositionUpdate, metadata=metadata)
    with pytest.raises(grpc.RpcError, match="2 streams are open already, the most in tier free"):
        await official.first(third)
    assert third.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    for call in calls:
        call.cancel()


async def test_the_admin_service_is_for_operators_on_the_wire(program, make_official):
    official = make_official(program.address)
    call = ("arbiter.v1.AdminService/ListActors", admin_pb2.ListActorsRequest(), admin_pb2.ListActorsResponse)
    error = await official.refusal(*call, metadata=program.bearer("enterprise"))
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    reply = await official.call(*call, metadata=program.bearer("operator"))
    states = {actor.name.rpartition("/")[2]: actor.state for actor in reply.actors}
    assert states["journal"] == states["rpc"] == "running"


async def test_the_notification_service_has_no_methods_yet(program, make_official):
    assert not notification_pb2.DESCRIPTOR.services_by_name["NotificationService"].methods
    official = make_official(program.address)
    request = trading_pb2.PositionsRequest()
    error = await official.refusal("arbiter.v1.NotificationService/StreamNotifications", request, metadata=program.bearer("pro"))
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_signing_key_is_made_new_each_time():
    first, second = (serialization.load_pem_private_key(make_signing_key(), None) for _ in range(2))
    assert first.private_bytes_raw() != second.private_bytes_raw()
