"""Reflection: everything that the server offers, by every name, and nothing else; bounded, since it needs no token."""

from contextlib import aclosing
from types import SimpleNamespace

import pytest
import trio
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

from arbiter.app import compose
from arbiter.config import Settings
from arbiter.errors import LimitExceeded
from arbiter.rpc import reflection_service
from arbiter.rpc.foreign_protos import REFLECTION_VERSIONS, message_class
from arbiter.rpc.gate import REFLECTION_PER_SECOND, Gate
from arbiter.rpc.reflection_service import IDLE_SECONDS, LONGEST_NAME, MOST_OF_ONE, MOST_REQUESTS, MOST_STREAMS, reflection_of
from arbiter.rpc.tokens import TokenAuthority
from arbiter.start import offers_reflection
from arbiter.store.memory import MemoryStore
from arbiter.v1.market_grpc import MarketServiceServicer
from arbiter.v1.trading_grpc import TradingServiceServicer

OURS = ("arbiter.v1.MarketService", "arbiter.v1.TradingService")
TRADING_FILES = {f"arbiter/v1/{name}.proto" for name in ("trading", "market", "strategy", "user")}


class Asking:
    """One version's service, asked with messages made of keywords."""

    def __init__(self, version: str) -> None:
        services = [TradingServiceServicer().service, MarketServiceServicer().service]
        found = {service.name: service for service in reflection_of(services)}
        self.method = found[f"{version}.ServerReflection"].methods["ServerReflectionInfo"]
        self.request = message_class(f"{version}.ServerReflectionRequest")
        self.extension = message_class(f"{version}.ExtensionRequest")

    def stream(self, messages, peer="1.1.1.1"):
        return self.method.method_fn(messages, request=SimpleNamespace(peer=peer, verified_peer=False))

    async def each(self, *requests):
        async def messages():
            for request in requests:
                yield self.request(**request)

        async with aclosing(self.stream(messages())) as answers:
            return [answer async for answer in answers]

    async def one(self, **request):
        (answer,) = await self.each(request)
        assert answer.original_request == self.request(**request)
        return answer


class Source:
    """A client's messages: the same so many times, then the end or silence."""

    def __init__(self, message, *, times: int, ends: bool = True) -> None:
        self._message, self._left, self._ends = message, times, ends

    def __aiter__(self):
        return self

    async def __anext__(self):
        await trio.lowlevel.checkpoint()
        if self._left:
            self._left -= 1
            return self._message
        if not self._ends:
            await trio.sleep_forever()
        raise StopAsyncIteration


@pytest.fixture(params=REFLECTION_VERSIONS)
def asking(request):
    return Asking(request.param)


def files(answer) -> list[FileDescriptorProto]:
    assert answer.WhichOneof("message_response") == "file_descriptor_response"
    return [FileDescriptorProto.FromString(each) for each in answer.file_descriptor_response.file_descriptor_proto]


def refusal(answer) -> tuple[int, str]:
    assert answer.WhichOneof("message_response") == "error_response"
    return answer.error_response.error_code, answer.error_response.error_message


async def test_the_services_are_listed_with_reflection_itself(asking):
    answer = await asking.one(list_services="*")
    assert [each.name for each in answer.list_services_response.service] == [
        *OURS,
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ]


@pytest.mark.parametrize(
    ("symbol", "file"),
    [
        ("arbiter.v1.TradingService", "trading"),
        ("arbiter.v1.TradingService.PlaceOrder", "trading"),
        ("arbiter.v1.OrderRequest", "trading"),
        ("arbiter.v1.OrderRequest.price_micros", "trading"),
        ("arbiter.v1.OrderState", "trading"),
        ("arbiter.v1.ORDER_STATE_OPEN", "trading"),
        (".arbiter.v1.OutcomeRef", "market"),
        ("arbiter.v1.Limits", "user"),
        ("grpc.reflection.v1.ServerReflectionRequest.message_request", "reflection"),
    ],
)
async def test_a_symbol_of_any_kind_leads_to_its_file_first(asking, symbol, file):
    found = files(await asking.one(file_containing_symbol=symbol))
    assert found[0].name.endswith(f"/{file}.proto")


async def test_nested_messages_and_enums_are_found():
    from arbiter.rpc.health_service import HealthService

    health = HealthService([], list, trio.current_time).service
    asking = Asking("grpc.reflection.v1")
    asking.method = reflection_of([health])[0].methods["ServerReflectionInfo"]
    for symbol in ("HealthListResponse.StatusesEntry", "HealthCheckResponse.ServingStatus", "HealthCheckResponse.SERVING"):
        (file,) = files(await asking.one(file_containing_symbol=f"grpc.health.v1.{symbol}"))
        assert file.name == "grpc/health/v1/health.proto"


async def test_a_file_comes_with_all_that_it_imports_each_once(asking):
    found = files(await asking.one(file_by_filename="arbiter/v1/trading.proto"))
    assert found[0].name == "arbiter/v1/trading.proto"
    assert sorted(file.name for file in found) == sorted(TRADING_FILES)


async def test_what_is_told_is_enough_to_build_every_method(asking):
    found = files(await asking.one(file_containing_symbol="arbiter.v1.TradingService"))
    pool = DescriptorPool()
    for file in reversed(found):
        pool.Add(file)
    method = pool.FindMethodByName("arbiter.v1.TradingService.GetOverview")
    assert method.output_type.fields_by_name["profile"].message_type.full_name == "arbiter.v1.ProfileResponse"


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        ({"file_by_filename": "arbiter/v1/nothing.proto"}, "no file 'arbiter/v1/nothing.proto'"),
        ({"file_by_filename": "google/protobuf/descriptor.proto"}, "no file"),  # in this process, but no part of what is offered
        ({"file_containing_symbol": "arbiter.v1.Nothing"}, "no symbol 'arbiter.v1.Nothing'"),
        ({"file_containing_symbol": ""}, "no symbol ''"),
        (
            {"file_containing_extension": {"containing_type": "arbiter.v1.Order", "extension_number": 3}},
            "no extension 3 of 'arbiter.v1.Order'",
        ),
        ({"all_extension_numbers_of_type": "arbiter.v1.Nothing"}, "no message 'arbiter.v1.Nothing'"),
    ],
)
async def test_what_is_not_found_is_an_answer_and_the_stream_goes_on(asking, request_, problem):
    refused, listed = await asking.each(request_, {"list_services": ""})
    code, text = refusal(refused)
    assert code == 5
    assert text.startswith(problem)
    assert listed.list_services_response.service


async def test_a_message_without_extensions_has_an_empty_list_of_them(asking):
    answer = await asking.one(all_extension_numbers_of_type="arbiter.v1.Order")
    assert answer.WhichOneof("message_response") == "all_extension_numbers_response"
    told = answer.all_extension_numbers_response
    assert (told.base_type_name, list(told.extension_number)) == ("arbiter.v1.Order", [])


async def test_a_request_for_nothing_is_an_invalid_argument(asking):
    assert refusal(await asking.one(host="here"))[0] == 3


async def test_the_host_is_told_back(asking):
    assert (await asking.one(host="here", list_services="")).valid_host == "here"


@pytest.mark.parametrize("name", ["file_by_filename", "file_containing_symbol", "all_extension_numbers_of_type", "list_services", "host"])
async def test_a_name_that_is_too_long_is_refused_and_not_sent_back(asking, name):
    (answer,) = await asking.each({"file_by_filename": "x"} | {name: "x" * (LONGEST_NAME + 1)})
    assert refusal(answer)[0] == 3
    assert len(answer.SerializeToString()) < 2 * LONGEST_NAME


async def test_answers_come_as_the_questions_do(asking):
    send, receive = trio.open_memory_channel(0)
    async with aclosing(asking.stream(aiter(receive))) as answers:
        for symbol in ("arbiter.v1.Order", "arbiter.v1.Market"):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send.send, asking.request(file_containing_symbol=symbol))
                with trio.fail_after(5):
                    answer = await anext(answers)
            assert answer.original_request.file_containing_symbol == symbol
        await send.aclose()
        assert await anext(answers, None) is None


async def test_a_stream_answers_so_many_requests_and_no_more(asking):
    source = Source(asking.request(list_services=""), times=MOST_REQUESTS + 1)
    answers = asking.stream(source)
    for _ in range(MOST_REQUESTS):
        await anext(answers)
    with pytest.raises(LimitExceeded):
        await anext(answers)


async def test_a_stream_that_asks_nothing_is_ended(asking, autojump_clock):
    send, receive = trio.open_memory_channel(0)
    began = trio.current_time()
    assert [answer async for answer in asking.stream(aiter(receive))] == []
    assert trio.current_time() - began == pytest.approx(IDLE_SECONDS)
    await send.aclose()


async def test_only_so_many_streams_are_open_at_once_and_one_that_ends_makes_room(asking):
    def one_then_wait():
        return Source(asking.request(list_services=""), times=1, ends=False)

    streams = [asking.stream(one_then_wait()) for _ in range(MOST_OF_ONE)]
    for stream in streams:
        await anext(stream)
    with pytest.raises(LimitExceeded, match="10 calls of reflection are open already from this address"):
        await anext(asking.stream(one_then_wait()))
    await streams.pop().aclose()
    for peer in ("1.1.1.1", "2.2.2.2"):  # another address has its own
        streams.append(asking.stream(one_then_wait(), peer))
        assert await anext(streams[-1])
    for stream in streams:
        await stream.aclose()


async def test_who_opens_many_streams_from_a_crowd_of_addresses_keeps_no_other_network_out(asking):
    streams = [asking.stream(Source(asking.request(list_services=""), times=9), f"1.1.{each % 3}.{each}") for each in range(MOST_STREAMS)]
    for stream in streams:
        await anext(stream)
    other = asking.stream(Source(asking.request(list_services=""), times=9), "9.9.9.9")
    assert await anext(other)
    with pytest.raises(LimitExceeded, match="from your network"):
        await anext(streams[0])
    assert await anext(streams[1])
    for stream in (*streams, other):
        await stream.aclose()


def test_the_calls_of_reflection_are_counted_by_address(core, keys, clock):
    gate = Gate(core, TokenAuthority(keys, clock.environment))
    call = ("grpc.reflection.v1.ServerReflection", "ServerReflectionInfo", [])
    for _ in range(2 * REFLECTION_PER_SECOND):
        gate.admit(*call, "1.1.1.1")
    with pytest.raises(LimitExceeded):
        gate.admit(*call, "1.1.1.1")
    gate.admit(*call, "1.1.1.2")


async def test_fields_have_their_names_in_json_as_protoc_gives_them():
    answer = await Asking("grpc.reflection.v1").one(file_by_filename="arbiter/v1/trading.proto")
    told = [FileDescriptorProto.FromString(each) for each in answer.file_descriptor_response.file_descriptor_proto]
    messages = [message for file in told for message in file.message_type]
    (order,) = [message for message in messages if message.name == "OrderRequest"]
    assert [field.json_name for field in order.field][:4] == ["idempotencyKey", "outcome", "side", "priceMicros"]
    nested = [message for outer in messages for message in outer.nested_type]
    assert all(field.json_name for message in messages + nested for field in message.field)


# -- through the server, with the official client --


async def test_the_official_client_learns_the_whole_api_from_the_server_alone(program, probes):
    told = await probes.lines("describe", program.address)
    assert "arbiter.v1.TradingService.PlaceOrder(arbiter.v1.OrderRequest) arbiter.v1.OrderResponse" in told
    assert "arbiter.v1.TradingService.StreamPositions(arbiter.v1.PositionsRequest) stream arbiter.v1.PositionUpdate" in told
    assert "grpc.health.v1.Health.Watch(grpc.health.v1.HealthCheckRequest) stream grpc.health.v1.HealthCheckResponse" in told
    offered = {f"{service.name}.{name}" for service in program.arbiter.front.services for name in service.methods}
    assert {line.partition("(")[0] for line in told} == offered


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_both_versions_answer_on_one_stream_in_order_without_a_token(program, probes, version):
    listed, found, missing = await probes.lines("ask", program.address, version, "arbiter.v1.Order", "arbiter.v1.Nothing")
    assert "arbiter.v1.UserService" in listed.split()
    assert (found, missing) == (f"{len(TRADING_FILES)} files", "error 5")


async def test_where_it_is_switched_off_it_is_not_there(clock, keys):
    front = compose(clock.environment, MemoryStore(), [], (), keys, None, reflection=False).front  # nothing listens
    assert not {service.name for service in front.services} & set(reflection_service.SERVICES)


@pytest.mark.parametrize(
    ("setting", "host", "offered"),
    [("auto", "localhost", True), ("auto", "0.0.0.0", False), ("on", "0.0.0.0", True), ("off", "localhost", False)],
)
def test_by_itself_it_is_offered_on_loopback_alone(setting, host, offered):
    assert offers_reflection(Settings(grpc_reflection=setting, grpc_host=host)) is offered
