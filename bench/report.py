"""How a bench speaks: lines for a person, then one line of JSON."""

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` of the values are at or below; 0 where there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0


def finish(bench: str, figures: Mapping[str, object], targets: Mapping[str, str]) -> None:
    """Say which targets are reached, then the line of JSON. A target is `>= 20000` or `<= 1`."""
    print()
    for name, target in targets.items():
        figure = figures.get(name)
        if isinstance(figure, int | float):
            print(f"  {name:22} {figure:>12,.3f}   target {target:>9}   {'reached' if reached(figure, target) else 'FALLS SHORT'}")
    print(json.dumps({"bench": bench, **figures, "targets": dict(targets)}), flush=True)


def reached(figure: float, target: str) -> bool:
    """Whether a figure satisfies `>= number` or `<= number`."""
    relation, _, limit = target.partition(" ")
    return figure >= float(limit) if relation == ">=" else figure <= float(limit)


def machine() -> dict[str, object]:
    """What a figure depends on beside the code."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "system": f"{platform.system()} {platform.release()}",
        "python": sys.version.split()[0],
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
