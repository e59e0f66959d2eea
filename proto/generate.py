"""Writes what follows from `proto/`: the modules of `arbiter/v1/`, `docs/api.md`, and the stored descriptor set.

python proto/generate.py                  write them; refuses changes that break clients
python proto/generate.py --break-clients  write them all the same
python proto/generate.py --check          write nothing, fail where they differ or clients would break
"""

import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import api_docs
import compat
from google.protobuf.descriptor_pb2 import FileDescriptorSet

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "arbiter" / "v1"
STORED = ROOT / "proto" / "arbiter_v1.txtpb"
API = ROOT / "docs" / "api.md"
INIT = '"""Generated from `proto/arbiter/v1`, never edited: run `./just proto`. Only `arbiter.rpc` imports it."""\n'
FORCE = "--break-clients"


def generate(folder: Path) -> tuple[Path, FileDescriptorSet]:
    """All modules, below `folder`: the package's folder there, and what the protos say, with their comments."""
    protos = sorted(str(path.relative_to(ROOT / "proto")) for path in (ROOT / "proto").rglob("*.proto"))
    outputs = [f"--{kind}_out={folder}" for kind in ("python", "pyi", "purerpc")]
    described = folder / "described.binpb"
    # the plugin is a script beside this interpreter
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'proto'}", *outputs, *protos]
    command += [f"--descriptor_set_out={described}", "--include_source_info"]
    subprocess.run(command, check=True, env={**os.environ, "PATH": path})  # noqa: S603 our own command
    package = folder / "arbiter" / "v1"
    (package / "__init__.py").write_text(INIT)
    return package, FileDescriptorSet.FromString(described.read_bytes())


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        package, files = generate(Path(folder))
        texts = {API: api_docs.render(files), STORED: compat.dump(files)}
        if FORCE not in sys.argv[1:] and (broken := _broken(files)):
            return _fail(broken)
        if "--check" in sys.argv[1:]:
            stale = [*_stale_modules(package), *(path.name for path, text in texts.items() if _text(path) != text)]
            return _fail(f"what is generated is not up to date ({', '.join(stale)}); run ./just proto") if stale else 0
        shutil.rmtree(TARGET, ignore_errors=True)
        shutil.copytree(package, TARGET)
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
    return 0


def _broken(files: FileDescriptorSet) -> str:
    """What clients would miss, for a person; empty where that is nothing."""
    stored = _text(STORED)
    try:
        found = compat.breaks(compat.load(stored), files) if stored else []
    except ValueError as error:
        return f"{STORED.name} cannot be read ({error}); take it from the last commit"
    if not found:
        return ""
    lines = "".join(f"\n  {line}" for line in found)
    return (
        f"the protos break clients that were built before:{lines}\n"
        f"Leave what is there and add beside it; if no client can need it any more, run ./just proto {FORCE}"
    )


def _stale_modules(package: Path) -> list[str]:
    fresh = sorted(path.name for path in package.iterdir())
    committed = sorted(path.name for path in TARGET.glob("*.py*") if path.is_file())
    _, differ, missing = filecmp.cmpfiles(package, TARGET, fresh, shallow=False)
    return sorted({*differ, *missing, *(set(committed) - set(fresh))})


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _fail(problem: str) -> int:
    print(problem, file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main())
