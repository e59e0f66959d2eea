"""gRPC's interop service, once on an official server and once on ours, with what it answers written once.

    python interop_service.py [JSON of channel arguments]

is the official server: it tells its port and serves until its input ends. A line `stop SECONDS` stops it with that grace; it
tells `stopped`.
"""

import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

SERVICE = "grpc.testing.TestService"
ECHO_INITIAL, ECHO_TRAILING = "x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"


def _messages() -> Any:
    """The message classes by name, in a pool of their own."""
    here = Path(__file__).parent
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "descriptors"
        assert protoc.main(["protoc", f"--proto_path={here}", f"--descriptor_set_out={out}", str(here / "interop.proto")]) == 0
        files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file
    pool = descriptor_pool.DescriptorPool()
    for each in files:
        pool.Add(each)
    names = [message.name for each in files for message in each.message_type]
    classes = {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"grpc.testing.{name}")) for name in names}
    return type("messages", (), classes)


m = _messages()


class Method(NamedTuple):
    """One method: its shape as the official library names it, and its messages."""

    shape: str
    request: Any
    reply: Any


METHODS = {
    "EmptyCall": Method("unary_unary", m.Empty, m.Empty),
    "UnaryCall": Method("unary_unary", m.SimpleRequest, m.SimpleResponse),
    "StreamingOutputCall": Method("unary_stream", m.StreamingOutputCallRequest, m.StreamingOutputCallResponse),
    "StreamingInputCall": Method("stream_unary", m.StreamingInputCallRequest, m.StreamingInputCallResponse),
    "FullDuplexCall": Method("stream_stream", m.StreamingOutputCallRequest, m.StreamingOutputCallResponse),
}


class Failed(Exception):
    """A handler ends its call with a status."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code, self.text = code, text


# -- what is answered --


def echoes(metadata: Any) -> tuple[Any, Any]:
    """Initial and trailing metadata of the answer."""
    return tuple((n, v) for n, v in metadata if n == ECHO_INITIAL), tuple((n, v) for n, v in metadata if n == ECHO_TRAILING)


def check_status(request: Any) -> None:
    if request.HasField("response_status"):
        raise Failed(request.response_status.code, request.response_status.message)


def simple(request: Any) -> Any:
    check_status(request)
    return m.SimpleResponse(payload=m.Payload(body=bytes(request.response_size)))


def wanted(request: Any) -> list[tuple[float, Any]]:
    """Each answer, and the seconds to wait before it."""
    return [
        (each.interval_us / 1e6, m.StreamingOutputCallResponse(payload=m.Payload(body=bytes(each.size))))
        for each in request.response_parameters
    ]


def total(size: int) -> Any:
    return m.StreamingInputCallResponse(aggregated_payload_size=size)


# -- on ours --


def our_service() -> Any:
    import trio
    from purerpc import Cardinality, RpcFailedError, RPCSignature, Service
    from purerpc.grpclib.status import Status, StatusCode

    def refused(error: Failed) -> RpcFailedError:
        return RpcFailedError(Status(StatusCode(error.code), error.text))

    def echo(request: Any) -> None:
        request.initial_metadata, request.trailing_metadata = echoes(request.custom_metadata)

    async def empty_call(message: Any, request: Any) -> Any:
        return m.Empty()

    async def unary_call(message: Any, request: Any) -> Any:
        echo(request)
        try:
            return simple(message)
        except Failed as error:
            raise refused(error) from None

    async def streaming_output_call(message: Any, request: Any) -> Any:
        for seconds, reply in wanted(message):
            await trio.sleep(seconds)
            yield reply

    async def streaming_input_call(messages: Any, request: Any) -> Any:
        return total(sum([len(each.payload.body) async for each in messages]))

    async def full_duplex_call(messages: Any, request: Any) -> Any:
        echo(request)
        async for message in messages:
            try:
                check_status(message)
            except Failed as error:
                raise refused(error) from None
            for seconds, reply in wanted(message):
                await trio.sleep(seconds)
                yield reply

    service = Service(SERVICE)
    functions = (empty_call, unary_call, streaming_output_call, streaming_input_call, full_duplex_call)
    for (name, method), function in zip(METHODS.items(), functions, strict=True):
        service.add_method(name, function, RPCSignature(Cardinality[method.shape.upper()], method.request, method.reply))
    return service


# -- on an official server --


def _echo(context: Any) -> None:
    initial, trailing = echoes(context.invocation_metadata())
    if initial:
        context.send_initial_metadata(initial)
    context.set_trailing_metadata(trailing)


def _abort(context: Any, error: Failed) -> None:
    context.abort(next(code for code in grpc.StatusCode if code.value[0] == error.code), error.text)


def _unary_call(request: Any, context: Any) -> Any:
    if request.response_compressed.value:
        context.set_compression(grpc.Compression.Gzip)
    _echo(context)
    try:
        return simple(request)
    except Failed as error:
        _abort(context, error)


def _streaming_output_call(request: Any, context: Any) -> Any:
    for seconds, reply in wanted(request):
        time.sleep(seconds)
        yield reply


def _full_duplex_call(requests: Any, context: Any) -> Any:
    _echo(context)
    for request in requests:
        try:
            check_status(request)
        except Failed as error:
            _abort(context, error)
        yield from _streaming_output_call(request, context)


def main(options: dict[str, Any]) -> None:
    functions = (
        lambda request, context: m.Empty(),
        _unary_call,
        _streaming_output_call,
        lambda requests, context: total(sum(len(each.payload.body) for each in requests)),
        _full_duplex_call,
    )
    handlers = {
        name: getattr(grpc, f"{method.shape}_rpc_method_handler")(function, method.request.FromString, method.reply.SerializeToString)
        for (name, method), function in zip(METHODS.items(), functions, strict=True)
    }
    server = grpc.server(
        ThreadPoolExecutor(32),
        [grpc.method_handlers_generic_handler(SERVICE, handlers)],
        options=[*options.items(), ("grpc.so_reuseport", 0)],
    )
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    for line in sys.stdin:
        server.stop(float(line.removeprefix("stop "))).wait()
        print("stopped", flush=True)
    server.stop(0)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]) if sys.argv[1:] else {})
