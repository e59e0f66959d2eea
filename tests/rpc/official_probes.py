"""The official clients of health and reflection, run as a process of their own: their generated modules stay out of the tests' one.

python official_probes.py check|watch|list|describe|ask ADDRESS [ARGUMENT ...]: one line of output for each thing that was told.
"""

import sys

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

SECONDS = 15
Request, Response = reflection_pb2.ServerReflectionRequest, reflection_pb2.ServerReflectionResponse


def name_of(answer):
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


def check(channel, *services):
    stub = health_pb2_grpc.HealthStub(channel)
    for service in services:
        try:
            tell(name_of(stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=SECONDS)))
        except grpc.RpcError as error:
            tell(error.code().name)


def watch(channel, service=""):
    for answer in health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=service), timeout=SECONDS):
        tell(name_of(answer))


def list(channel):
    answer = health_pb2_grpc.HealthStub(channel).List(health_pb2.HealthListRequest(), timeout=SECONDS)
    for service, status in sorted(answer.statuses.items()):
        tell(f"{service}={name_of(status)}")


def describe(channel):
    """Everything of every service, from nothing but what the server tells."""
    database = ProtoReflectionDescriptorDatabase(channel)
    pool = DescriptorPool(database)
    for service in database.get_services():
        for method in pool.FindServiceByName(service).methods:
            streams = "stream " * method.client_streaming, "stream " * method.server_streaming
            tell(f"{method.full_name}({streams[0]}{method.input_type.full_name}) {streams[1]}{method.output_type.full_name}")


def ask(channel, version, *names):
    """One stream with a request for the file of each name, in the given version, whose messages are the same on the wire."""
    path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
    call = channel.stream_stream(path, request_serializer=Request.SerializeToString, response_deserializer=Response.FromString)
    requests = [Request(list_services=""), *(Request(file_containing_symbol=name) for name in names)]
    for answer in call(iter(requests), timeout=SECONDS):
        kind = answer.WhichOneof("message_response")
        told = {
            "list_services_response": lambda a: " ".join(each.name for each in a.list_services_response.service),
            "file_descriptor_response": lambda a: f"{len(a.file_descriptor_response.file_descriptor_proto)} files",
            "error_response": lambda a: f"error {a.error_response.error_code}",
        }[kind](answer)
        tell(told)


def tell(line):
    print(line, flush=True)


if __name__ == "__main__":
    with grpc.insecure_channel(sys.argv[2]) as channel:
        {"check": check, "watch": watch, "list": list, "describe": describe, "ask": ask}[sys.argv[1]](channel, *sys.argv[3:])
