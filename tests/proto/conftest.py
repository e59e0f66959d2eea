"""What the tests of proto/ share: its modules, which are no package, and a compiler for protos given as text."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "proto"))


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[..., FileDescriptorSet]:
    """The descriptor set, with comments, of files given as name and text."""

    def compile(**files: str) -> FileDescriptorSet:
        for name, text in files.items():
            (tmp_path / f"{name}.proto").write_text(text)
        target = tmp_path / "set.binpb"
        names = [f"{name}.proto" for name in files]
        assert protoc.main(["", f"-I{tmp_path}", f"--descriptor_set_out={target}", "--include_source_info", *names]) == 0
        return FileDescriptorSet.FromString(target.read_bytes())

    return compile
