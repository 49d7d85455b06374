# What CI runs is `just check`.
set positional-arguments

export PATH := justfile_directory() / ".venv/bin:" + env("PATH")

# List the recipes.
default:
    @just --list

# Everything that must hold: format, lint, layers, types, tests with branch coverage.
check: lint test pure

# Format, lint, layers, types.
lint:
    ruff format --check .
    ruff check .
    lint-imports
    mypy

# The tests, with branch coverage. Pass pytest arguments to narrow them.
test *args:
    pytest --cov --cov-report=term --cov-fail-under=90 "$@"

# What decides and what reads the wire is covered to the last branch by the tests just run.
pure:
    coverage report --include='pylon/core/*,pylon/wire/*,pylon/model/*' --fail-under=100

# Put right what a tool can put right.
fix:
    ruff format .
    ruff check --fix .

# How fast it is, beside the limits measured in the same run; about three minutes.
bench:
    python -m benchmarks

# The real programs under a monkey that kills, freezes and cuts them; prints a report as JSON.
chaos N="10000" SEED="":
    python -m tests.chaos {{N}} {{SEED}}

# A whole market in one process, from a seed, through kills, faults and lies; every invariant is asserted.
sim *args:
    python -m tests.simulation "$@"

# Every small mistake in the money code, one at a time: do the tests find it? About twenty minutes; writes docs/mutants.md.
mutants *args:
    python -m tests.mutation "$@"
