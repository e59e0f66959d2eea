"""The benches: every speed claim of this project is a program here that anyone can run.

`./just bench NAME` prints what it does, its figures for a person, and as its last line one JSON object with the
figures under the keys that `docs/benchmarks.md` explains. `--quick` is a short form (under 45 s) for a look; the
figures to report are the full form's. `./just bench all` runs every bench and writes `bench/latest.json`.

A figure that falls short of its target is printed as it is.
"""
