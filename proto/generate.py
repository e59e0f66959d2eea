"""Writes `arbiter/v1/` from `proto/`. With `--check` it writes nothing and fails where the two differ.

python proto/generate.py [--check]
"""

import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "arbiter" / "v1"
INIT = '"""Generated from `proto/arbiter/v1`, never edited: run `./just proto`. Only `arbiter.rpc` imports it."""\n'


def generate(folder: Path) -> Path:
    """All modules, below `folder`; returns the package's folder there."""
    protos = sorted(str(path.relative_to(ROOT / "proto")) for path in (ROOT / "proto").rglob("*.proto"))
    outputs = [f"--{kind}_out={folder}" for kind in ("python", "pyi", "purerpc")]
    # the plugin is a script beside this interpreter
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'proto'}", *outputs, *protos]
    subprocess.run(command, check=True, env={**os.environ, "PATH": path})  # noqa: S603 our own command
    package = folder / "arbiter" / "v1"
    (package / "__init__.py").write_text(INIT)
    return package


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        package = generate(Path(folder))
        fresh = sorted(path.name for path in package.iterdir())
        if "--check" in sys.argv[1:]:
            committed = sorted(path.name for path in TARGET.glob("*.py*") if path.is_file())
            _, differ, missing = filecmp.cmpfiles(package, TARGET, fresh, shallow=False)
            stale = sorted({*differ, *missing, *(set(committed) - set(fresh))})
            if stale:
                print(f"generated code is not up to date ({', '.join(stale)}); run ./just proto", file=sys.stderr)  # noqa: T201
            return 1 if stale else 0
        shutil.rmtree(TARGET, ignore_errors=True)
        shutil.copytree(package, TARGET)
    return 0


if __name__ == "__main__":
    sys.exit(main())
