# Needs python3 >= 3.11, a stable Rust toolchain and make; everything else is set up here.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TEST_WORKERS ?= $(shell expr 2 '*' $$(getconf _NPROCESSORS_ONLN))
export VIRTUAL_ENV := $(abspath $(VENV))
export PYO3_PYTHON := $(abspath $(BIN)/python)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

RUST_SOURCES := $(shell find rust -name '*.rs' -o -name Cargo.toml 2>/dev/null) Cargo.toml Cargo.lock

.PHONY: serve test test-rust test-python lint format build wheel fuzz torture bench locust clean

serve: build ## serve on 127.0.0.1:8080 with the log in ./data
	$(BIN)/forebay serve --data-dir data

# Both halves run, also when the first one fails: a failure in one says nothing of the other.
test: ## every test
	@failed=; $(MAKE) test-rust || failed="$$failed test-rust"; $(MAKE) test-python || failed="$$failed test-python"; \
		[ -z "$$failed" ] || { echo "failed:$$failed" >&2; exit 1; }

test-rust: $(VENV)/.created
	cargo test --workspace --exclude forebay-python --no-fail-fast

# Tests wait for servers, disks and clocks more than they compute, so there are more workers than processors. A file
# stays with one worker: its tests share a server.
test-python: build
	$(BIN)/python -m pytest --numprocesses $(TEST_WORKERS) --dist loadfile

lint: build ## what CI refuses
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	$(BIN)/ruff check python tests
	$(BIN)/ruff format --check python tests
	$(BIN)/mypy
	$(BIN)/mypy --config-file pyproject.toml tests
	$(BIN)/python -m mypy.stubtest forebay._forebay --mypy-config-file pyproject.toml

format: build
	cargo fmt --all
	$(BIN)/ruff check --fix python tests
	$(BIN)/ruff format python tests

build: $(VENV)/.extension ## the release extension in .venv

wheel: $(VENV)/.extension ## an abi3 wheel in dist/, which installs without a Rust toolchain
	$(BIN)/maturin build --release --out dist

fuzz: ## the parser against serde_json, longer than in `make test`
	FOREBAY_FUZZ_CASES=$${FOREBAY_FUZZ_CASES:-5000000} cargo test --release -p forebay-core --test parser_differential -- --nocapture

torture: build ## kills a server under load, longer than in `make test`
	FOREBAY_KILLS=$${FOREBAY_KILLS:-500} FOREBAY_CONSUMER_KILLS=$${FOREBAY_CONSUMER_KILLS:-500} $(BIN)/python -m pytest tests/crash -o log_cli=true -o log_cli_level=INFO

bench: build ## measures this machine and appends to bench/README.md
	$(BIN)/python bench/run.py

locust: build ## users of every kind against the server of `make serve`, for 30 s; what is acknowledged is read back
	FOREBAY_TOKEN=$${FOREBAY_TOKEN-$$(cat data/token 2>/dev/null)} \
		$(BIN)/locust -f bench/locustfile.py --headless -u 50 -r 10 -t 30s --host http://127.0.0.1:8080

clean:
	rm -rf $(VENV) target dist

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "forebay needs Python 3.11 or newer; name one with make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet 'maturin>=1.9,<2'
	touch $@

# maturin installs the dependencies and the `dev` extra as well, so one stamp covers both.
$(VENV)/.extension: $(VENV)/.created pyproject.toml $(RUST_SOURCES)
	$(BIN)/maturin develop --release --extras dev
	touch $@
