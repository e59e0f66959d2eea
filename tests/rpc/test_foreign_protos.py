"""Our form of gRPC's own protos is theirs, and both can be in one process."""

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from arbiter.rpc.foreign_protos import message_class


def contents(message) -> FileDescriptorProto:
    """A file's descriptor without its name and what is for other languages' generators."""
    file = FileDescriptorProto()
    message.DESCRIPTOR.file.CopyToProto(file)
    for name in ("name", "options"):
        file.ClearField(name)
    return file


def test_the_health_proto_is_the_official_one_and_both_live_in_one_process():
    from grpc_health.v1 import health_pb2

    ours = message_class("grpc.health.v1.HealthCheckRequest")
    assert contents(ours) == contents(health_pb2.HealthCheckRequest)
    assert ours is not health_pb2.HealthCheckRequest


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_the_reflection_proto_is_the_official_one_but_for_its_package(version):
    from grpc_reflection.v1alpha import reflection_pb2

    ours = contents(message_class(f"grpc.reflection.{version}.ServerReflectionRequest"))
    text = str(ours).replace(f"grpc.reflection.{version}", "grpc.reflection.v1alpha")
    assert text == str(contents(reflection_pb2.ServerReflectionRequest))


def test_a_message_that_there_is_not_is_a_key_error():
    with pytest.raises(KeyError):
        message_class("grpc.health.v1.Nothing")
