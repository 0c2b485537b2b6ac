# Needs python3 >= 3.11, a stable Rust toolchain and make; everything else is set up here.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TEST_WORKERS ?= $(shell expr 2 '*' $$(getconf _NPROCESSORS_ONLN))
export VIRTUAL_ENV := $(abspath $(VENV))
export PYO3_PYTHON := $(abspath $(BIN)/python)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Tests start some hundred interpreters, and pytest rewrites every file: where an image for containers forbids to keep
# the bytecode, each of them compiles the whole package anew.
unexport PYTHONDONTWRITEBYTECODE

RUST_SOURCES := $(shell find rust -name '*.rs' -o -name Cargo.toml 2>/dev/null) Cargo.toml Cargo.lock

# Tests wait for servers, disks and clocks more than they compute, so there are more workers than processors. A file
# stays with one worker: its tests share a server.
PYTEST := $(BIN)/python -m pytest --numprocesses $(TEST_WORKERS) --dist loadfile

# Of the integration tests of the core those that are quick and judge what senders and readers see.
FAST_RUST_TESTS := events format ingest publish requests

.DEFAULT_GOAL := help
.PHONY: help serve dev check test test-rust test-python test-services lint docs deny format build tools wheel fuzz torture bench locust clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

serve: build ## serve on 127.0.0.1:8080 with the log in ./data
	$(BIN)/forebay serve --data-dir data

dev: $(VENV)/.extension-dev $(VENV)/.tools ## the extension and the tools in .venv, built in seconds: not optimised across crates

# Each step costs more than the one before it, so that a slip shows early. The tests of Rust are compiled while those of
# Python wait for their servers; each half shows its output when it has ended.
check: ## the loop while you change something: formats, types, lints, and the tests that are quick
	$(MAKE) --no-print-directory static
	$(MAKE) --no-print-directory dev
	$(MAKE) --no-print-directory --jobs=2 --output-sync=target check-rust check-python

# One call of cargo: with another choice of packages, features of dependencies differ, and the core is compiled again.
.PHONY: check-rust check-python
check-rust:
	cargo test --quiet --workspace --exclude forebay-python --lib $(FAST_RUST_TESTS:%=--test %)

check-python:
	$(PYTEST) -m 'not slow'

# All parts run, also when the first one fails: a failure in one says nothing of the others.
test: ## every test, against the release build
	@failed=; for part in test-rust test-python test-services; do $(MAKE) $$part || failed="$$failed $$part"; done; \
		[ -z "$$failed" ] || { echo "failed:$$failed" >&2; exit 1; }

test-rust: $(VENV)/.created
	cargo test --workspace --exclude forebay-python --no-fail-fast

test-python: build $(VENV)/.tools
	$(PYTEST) --ignore tests/services

test-services: build $(VENV)/.tools ## tests with a real Redis and PostgreSQL, from Debian where they are missing, and with pandas and DuckDB where they are
	$(PYTEST) tests/services

lint: build static ## what CI refuses
	$(BIN)/python -m mypy.stubtest forebay._forebay --mypy-config-file pyproject.toml

.PHONY: static
static: $(VENV)/.tools
	cargo fmt --all --check
	$(BIN)/ruff check python tests examples bench
	$(BIN)/ruff format --check python tests examples bench
	$(BIN)/mypy
	$(BIN)/mypy --config-file pyproject.toml tests examples
	cargo clippy --workspace --all-targets -- -D warnings

docs: build ## docs/configuration.md, from the table of settings
	$(BIN)/python -m forebay.server.configuration >docs/configuration.md

deny: ## licences and sources of the crates; needs cargo-deny
	cargo deny --offline check bans licenses sources

format: $(VENV)/.tools ## Rust and Python
	cargo fmt --all
	$(BIN)/ruff check --fix python tests examples bench
	$(BIN)/ruff format python tests examples bench

build: $(VENV)/.extension ## the release extension in .venv, with what serving needs

tools: $(VENV)/.tools ## what tests and linters need in .venv

wheel: $(VENV)/.created ## an abi3 wheel in dist/, which installs without a Rust toolchain
	$(BIN)/maturin build --release --out dist

fuzz: ## the parser against serde_json, and compiled filters against the interpreter, longer than in `make test`
	FOREBAY_FUZZ_CASES=$${FOREBAY_FUZZ_CASES:-5000000} cargo test --release -p forebay-core --test parser_differential -- --nocapture
	FOREBAY_FILTER_CASES=$${FOREBAY_FILTER_CASES:-200000} cargo test --release -p forebay-core --test filter differential -- --nocapture

torture: build tools ## kills a server under load, longer than in `make test`
	FOREBAY_KILLS=$${FOREBAY_KILLS:-500} FOREBAY_CONSUMER_KILLS=$${FOREBAY_CONSUMER_KILLS:-500} $(BIN)/python -m pytest tests/crash -o log_cli=true -o log_cli_level=INFO

bench: build tools ## measures this machine and keeps the run in bench/runs
	$(BIN)/python bench/run.py

locust: build tools ## users of every kind against the server of `make serve`, for 30 s; what is acknowledged is read back
	FOREBAY_TOKEN=$${FOREBAY_TOKEN-$$(cat data/token 2>/dev/null)} \
		$(BIN)/locust -f bench/locustfile.py --headless -u 50 -r 10 -t 30s --host http://127.0.0.1:8080

clean: ## everything that was built; data/ stays
	rm -rf $(VENV) target dist

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "forebay needs Python 3.11 or newer; name one with make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet 'maturin>=1.9,<2'
	touch $@

# maturin installs what serving depends on as well. There is one place for the extension, python/forebay: whichever kind is
# built, the other one's stamp goes.
$(VENV)/.extension: $(VENV)/.created pyproject.toml $(RUST_SOURCES)
	$(BIN)/maturin develop --release
	@rm -f $(VENV)/.extension-dev
	@touch $@

$(VENV)/.extension-dev: $(VENV)/.created pyproject.toml $(RUST_SOURCES)
	$(BIN)/maturin develop
	@rm -f $(VENV)/.extension
	@touch $@

$(VENV)/.tools: $(VENV)/.created pyproject.toml
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["dev"], sep="\n")' \
		| $(BIN)/pip install --quiet --requirement /dev/stdin
	@touch $@
