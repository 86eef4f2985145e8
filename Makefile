# Needs only python3 (3.11 or newer, with venv) and make. Everything else goes into .venv.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
# Two workers: the suite is sized for a machine of two cores.
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -q
COMPILE := $(BIN)/python -m piptools compile -q --generate-hashes --no-header --no-emit-index-url --no-emit-find-links \
	--no-emit-trusted-host --strip-extras --allow-unsafe

.DEFAULT_GOAL := help
.PHONY: help install demo test check bench fuzz lock clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/'

install: .venv/.installed ## Make .venv with everything locked by hash

demo: .venv/.installed ## Start gateway, SMSC simulator, phones and messenger; print their addresses
	@$(BIN)/bellhop demo

test: .venv/.installed ## Run all tests
	@$(PYTEST) -n $(WORKERS) --dist worksteal $(ARGS)

check: .venv/.installed ## Run the linters, the type checker, the import contracts and the house rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(PYTEST) tests/house

bench: .venv/.installed ## Measure throughput and latency on this machine
	@for front in smpp http http-batch; do $(BIN)/bellhop bench --front $$front --messages 30000 $(ARGS) && echo || exit 1; done

fuzz: .venv/.installed ## Run a million mutated PDUs through every reader of octets
	@$(BIN)/python tests/fuzz/fuzz_smpp.py -runs=1000000 -max_len=1024

lock: .venv/.installed ## Write the lock files anew from requirements*.in
	@$(PIP) install pip-tools
	@$(COMPILE) --upgrade -o requirements.txt requirements.in
	@$(COMPILE) --upgrade -o requirements-dev.txt requirements-dev.in

clean: ## Remove .venv and every cache
	@rm -rf .venv build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The locked libraries: done again only when a lock changes.
.venv/.locked: requirements.txt requirements-dev.txt
	@echo "preparing .venv (once; about a minute)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "bellhop needs Python 3.11 or newer, this is " + sys.version.split()[0])'
	@$(PYTHON) -m venv .venv
	@$(PIP) install --require-hashes -r requirements.txt -r requirements-dev.txt
	@touch $@

# The package itself, editable; its build backend is in the lock, so nothing more is fetched.
.venv/.installed: .venv/.locked pyproject.toml
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@
