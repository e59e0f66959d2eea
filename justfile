# The recipes. `./just RECIPE` works on a machine without `just`; who has it can type `just RECIPE`.
# Each recipe execs its program, so that signals reach it.

set positional-arguments

python := ".venv/bin/python"

# list the recipes
_default:
    @exec {{quote(just_executable())}} --justfile {{quote(justfile())}} --list --unsorted

_run:
    @./just --setup run

_dev:
    @./just --setup dev

# start everything against the sandbox; flags as in `arbiter run --help`
[no-exit-message]
run *args: _run
    @exec {{python}} -m arbiter run "$@"

# opportunities and positions of the running program, live in the terminal
[no-exit-message]
watch *args: _run
    @exec {{python}} -m arbiter watch "$@"

# every actor of the running program, live in the terminal
[no-exit-message]
top *args: _run
    @exec {{python}} -m arbiter top "$@"

# certificates for TLS of one's own in var/certs, or in the folder that is named
[no-exit-message]
certs *args: _run
    @exec {{python}} -m arbiter certs "$@"

# the tests, on two cores; `./just test tests/domain` runs a part
[no-exit-message]
test *args: _dev
    @exec {{python}} -m pytest -n 2 --dist loadgroup "$@"

# what the tests do, far more often and longer: 2,000 random trees of actors, clients that misbehave for 10 minutes, frames and requests at random, every recorded frame
nightly: _dev
    @exec env ARBITER_LONG=1 RUNTIME_SEEDS=2000 SOAK_SECONDS=600 WIRE_SEQUENCES=20000 FUZZ_CASES=100000 {{python}} -m pytest -n 2 --dist loadgroup -o faulthandler_timeout=1800 tests/runtime tests/rpc/test_soak.py tests/rpc/test_wire_beside_h2.py tests/rpc/test_server_fuzz.py tests/frames tests/simulation

# format, lint, types, the import rule, generated code, that the installed packages fit together
check: _dev
    {{python}} -m ruff format --check .
    {{python}} -m ruff check .
    {{python}} -m mypy
    {{python}} -m pytest -q -p no:cacheprovider tests/test_imports.py tests/test_layout.py
    {{python}} proto/generate.py --check
    {{python}} -m pip check

# write arbiter/v1, docs/api.md and the stored API from proto/; refuses what breaks clients
proto *args: _dev
    @exec {{python}} proto/generate.py "$@"

# measure: `./just bench pipeline`, `./just bench pipeline --quick`
[no-exit-message]
bench name *args: _dev
    @[ -f "bench/$1.py" ] || { echo "just: there is no bench $1; docs/benchmarks.md lists those that there are" >&2; exit 2; }
    @shift; exec {{python}} -m bench.{{name}} "$@"

# bring the code into the common format
fmt: _dev
    {{python}} -m ruff check --fix --quiet .
    {{python}} -m ruff format .

# write the lock files anew from pyproject.toml (needs uv)
lock:
    uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate -o requirements/run.txt
    uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate -c requirements/run.txt -o requirements/dev.txt

# remove what the recipes made, but no data
clean:
    rm -rf .venv .venv.lock .pytest_cache .mypy_cache .ruff_cache .hypothesis
    find . -name __pycache__ -type d -prune -exec rm -rf {} +
