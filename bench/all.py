"""Every bench after the other, with their arguments passed on; writes `bench/latest.json`.

./just bench all [--quick]
"""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from bench.report import machine

HERE = Path(__file__).parent
NAMES = ("pipeline", "runtime", "rpc", "venues", "orders", "sim", "scan", "matching", "copy", "bot", "ops")


def run(name: str, arguments: list[str]) -> dict[str, object]:
    """One bench: its output is shown as it comes; its last line is the result."""
    last = ""
    with subprocess.Popen([sys.executable, "-m", f"bench.{name}", *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line
    try:
        figures: dict[str, object] = json.loads(last)
    except ValueError:
        figures = {"bench": name, "error": f"no result; it ended with status {process.returncode}"}
    return figures


def main() -> None:
    began = datetime.now(UTC)
    results = []
    for name in NAMES:
        if (HERE / f"{name}.py").exists():
            print(f"\n== {name} ==", flush=True)
            results.append(run(name, sys.argv[1:]))
    latest = {"at": began.isoformat(timespec="seconds"), "arguments": sys.argv[1:], "machine": machine(), "results": results}
    (HERE / "latest.json").write_text(json.dumps(latest, indent=2) + "\n")
    print(
        json.dumps(
            {"bench": "all", "ran": [result["bench"] for result in results], "failed": [r["bench"] for r in results if "error" in r]}
        )
    )


if __name__ == "__main__":
    main()
