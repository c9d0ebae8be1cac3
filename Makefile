# Two commands need nothing but python3, make and a network: `make up` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
LOCK   := uv pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
          --no-strip-extras --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"
ALL    := pyproject.toml requirements/build.in
BENCHMARK := -n 0 --benchmark-enable --benchmark-only --timeout 1800 \
             --benchmark-columns median,iqr,rounds --benchmark-sort name
COMPARISONS := $(addprefix benchmarks/test_,questions.py dau.py http_stats.py ingest.py http.py)
LATEST := benchmarks/results/latest.json
# What depends on the servers' versions: every engine, loads, the mirror's protocol, sessions, limits, backups.
SERVER_TESTS := tests/contract tests/integration tests/mirror tests/cli/test_doctor.py tests/cli/test_backup.py \
                $(addprefix tests/api/test_,keys.py sessions.py throttle.py)
NOT_SERVERS  := --ignore-glob 'tests/integration/test_local_*' $(addprefix --ignore tests/,integration/test_ingest_formats.py \
                contract/test_truth.py integration/test_ingest_load.py mirror/test_courtesy.py mirror/test_looks.py \
                mirror/test_damage.py mirror/test_limits.py mirror/test_full_disk.py mirror/test_seeded_bugs.py mirror/test_crash.py mirror/test_plans.py \
                mirror/test_overtaken.py mirror/test_glimpse.py mirror/test_compaction.py mirror/test_raw_retention.py \
                mirror/test_state_machine.py)
comma  := ,

.DEFAULT_GOAL := help
.PHONY: help up run_api import_events test test-slow test-all test-servers faults image-size idle-memory test-openapi walk soak benchmark benchmark_func bench-full benchmark-page \
        bench-ingest bench-http bench-access bench-library bench-mirror bench-mirror-growth \
        mirror-figures capacity capacity-removals capacity-page notebooks docs lint format lock clean

help:  ## Show this help
	@awk -F ':.*## ' '/^[a-z_-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: $(VENV)/.runtime  ## Start Tidemark on this machine with sample events (ONCE=1: show, then stop)
	$(BIN)/tidemark up $(if $(ONCE),--once)

run_api: $(VENV)/.runtime  ## Serve the API alone (settings: docs/settings.md)
	$(BIN)/tidemark serve

import_events: $(VENV)/.runtime  ## Load a file: make import_events FILE=events.csv PROJECT=shop
	@test -n "$(FILE)" -a -n "$(PROJECT)" || { echo "Name both: make import_events FILE=events.csv PROJECT=shop" >&2; exit 2; }
	$(BIN)/tidemark import "$(FILE)" --project "$(PROJECT)"

test: $(VENV)/.dev  ## Run the test suite
	$(BIN)/python -m pytest

test-slow: $(VENV)/.dev  ## Run the tests that take minutes: crashes, concurrency, random walks of the mirror
	$(BIN)/python -m pytest -m "slow and not faults" -rP --no-header

test-all: $(VENV)/.dev  ## Run both at once, which takes less than one after the other; of the walks only the longer
	$(BIN)/python -m pytest -m "not exhaustive and not (slow and faults)" \
	    --deselect tests/mirror/test_state_machine.py::test_every_step_leaves_the_answers_exact

faults: $(VENV)/.dev  ## Stop, kill and put back whole servers under load; prints how long recovery took
	$(BIN)/python -m pytest -n 0 -m faults tests/faults tests/cli/test_workers.py tests/cli/test_upgrade.py --no-header

test-servers: $(VENV)/.dev  ## Run what depends on servers' versions on Debian's Postgres 15 and Redis 7, installed as root if missing
	.ci/with-debian-servers $(BIN)/python -m pytest $(SERVER_TESTS) $(NOT_SERVERS)

test-openapi: $(VENV)/.dev  ## Try the whole API as it describes itself, 210 examples an operation
	$(BIN)/python -m pytest -m exhaustive tests/api/test_openapi.py -rP --no-header

walk: $(VENV)/.dev  ## Walk at random against the mirror for WALK_MINUTES (10), from seed MIRROR_SEED
	WALK_MINUTES=$(or $(WALK_MINUTES),10) $(BIN)/python -m pytest -n 0 -s -m slow tests/mirror/test_state_machine.py -k long

soak: $(VENV)/.dev  ## Keep one server at work for SOAK_MINUTES (30): nothing may grow or differ; write docs/soak.md
	$(BIN)/python -m benchmarks.soak

image-size: $(VENV)/.dev  ## Build the image's packages as the Dockerfile does, run its commands on them, print what weighs most
	AS_THE_DOCKERFILE=1 $(BIN)/python -m pytest -n 0 -m slow -rP --no-header tests/cli/test_container_commands.py

idle-memory: $(VENV)/.dev  ## Measure the memory of the whole local stack while nobody asks (Linux)
	$(BIN)/python -m benchmarks.idle_memory

lint: $(VENV)/.dev  ## Check format, style, types and the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

benchmark: $(VENV)/.dev  ## Measure engines, scripts and HTTP at 100,000 and a million events, and loads, in some five minutes
	$(BIN)/python -m pytest $(COMPARISONS) $(BENCHMARK) --benchmark-json $(LATEST)
	@echo "Raw times are in $(LATEST); make benchmark-page makes docs/benchmarks.md of them."

benchmark_func: $(VENV)/.dev  ## Measure one function: make benchmark_func FUNC=test_100k_dau
	@test -n "$(FUNC)" || { echo "Name it: make benchmark_func FUNC=test_100k_dau" >&2; exit 2; }
	$(BIN)/python -m pytest benchmarks -k "$(FUNC)" $(filter-out --benchmark-only,$(BENCHMARK)) --benchmark-json benchmarks/results/$(FUNC).json

bench-full: $(VENV)/.dev  ## The same as make benchmark, with ten million events as well, and loads of a million
	BENCHMARK_EVENTS=$(or $(BENCHMARK_EVENTS),100000$(comma)1000000$(comma)10000000) \
	$(BIN)/python -m pytest $(COMPARISONS) $(BENCHMARK) --benchmark-json $(LATEST)
	@echo "Raw times are in $(LATEST); make benchmark-page makes docs/benchmarks.md of them."

benchmark-page: $(VENV)/.dev  ## Write docs/benchmarks.md and its plots from the last run (RUN=file.json for another)
	$(BIN)/python -m benchmarks.page $(or $(RUN),$(LATEST))

bench-ingest: $(VENV)/.dev  ## Measure loading files against a bare COPY and the usual INSERT
	BENCHMARK_EVENTS=$(or $(BENCHMARK_EVENTS),1000000) $(BIN)/python -m pytest benchmarks/test_ingest.py $(BENCHMARK) --capture no

bench-http: $(VENV)/.dev  ## Measure events over HTTP against what Postgres takes without it
	BENCHMARK_EVENTS=$(or $(BENCHMARK_EVENTS),1000000) $(BIN)/python -m pytest benchmarks/test_http.py $(filter-out --benchmark-only,$(BENCHMARK))

bench-library: $(VENV)/.dev  ## Measure Python's answers from a Parquet file of ten million events (BENCHMARK_EVENTS)
	$(BIN)/python -m benchmarks.library

bench-access: $(VENV)/.dev  ## Measure what it adds to a request to know who calls, and to charge them
	$(BIN)/python -m benchmarks.access

bench-mirror: $(VENV)/.bench  ## Measure every engine side by side, and what a mirror costs, at 10 million events
	$(BIN)/python -m benchmarks.mirror

bench-mirror-growth: $(VENV)/.dev  ## Measure how the mirror's answers grow from 1 to 50 million events
	$(BIN)/python -m benchmarks.mirror growth

mirror-figures: $(VENV)/.dev  ## Write docs/mirror-figures.md from the published runs
	$(BIN)/python -m benchmarks.mirror.page benchmarks/results/published-*.json > docs/mirror-figures.md

capacity: $(VENV)/.dev  ## Measure what events take of disk, memory and cores, in some ten minutes; write docs/capacity.md
	$(BIN)/python -m benchmarks.capacity

capacity-removals: $(VENV)/.dev  ## Measure ten million events removed by one statement; write docs/capacity.md (ten minutes, 15 GB)
	$(BIN)/python -m benchmarks.capacity removals

capacity-page: $(VENV)/.dev  ## Write docs/capacity.md from the last run's figures
	$(BIN)/python -m benchmarks.capacity --page

notebooks: $(VENV)/.dev  ## Run the notebooks anew and draw the README's heat map (beside a running make up)
	$(BIN)/jupyter execute --inplace docs/notebooks/*.ipynb
	$(BIN)/python -c 'from analytics import Analytics; Analytics.from_csv("app/local/sample/rete_ecom.csv.gz").retention().save("docs/retention.svg")'

docs: $(VENV)/.dev  ## Write the pages that come from the code
	$(BIN)/python -m app.cli.reference > docs/cli.md
	$(BIN)/python -m app.cli.env_example > .env.example

format: $(VENV)/.dev  ## Format the code and mend what can be mended mechanically
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock:  ## Write the lock files anew from pyproject.toml (needs uv)
	$(LOCK) requirements/pip.in --output-file requirements/pip.txt
	$(LOCK) $(ALL) --output-file requirements/runtime.txt
	$(LOCK) $(ALL) --constraints requirements/runtime.txt --extra local --output-file requirements/local.txt
	$(LOCK) $(ALL) --constraints requirements/local.txt --extra local --extra notebook --extra dev --output-file requirements/dev.txt
	$(LOCK) $(ALL) --constraints requirements/dev.txt --extra local --extra notebook --extra dev --extra bench --output-file requirements/bench.txt

clean:  ## Remove the environment and caches (never the data in .tidemark)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info

# Each stamp stands for one set of locked packages; an edited lock file makes it stale.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"Tidemark needs Python 3.11 or newer, this is {v[0]}.{v[1]}. Name another: make $(MAKECMDGOALS) PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/pip.txt

$(VENV)/.runtime: requirements/local.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/local.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip check
	@touch $@

$(VENV)/.bench: requirements/bench.txt $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	@touch $@
