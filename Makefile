# Everything here needs Python 3.11 or newer and make, nothing else. `make` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PACKAGES := domain projections replay api
# More arguments for pytest, for instance: make unit ARGS="-n auto -k lease"
ARGS ?=
# More processes than processors, as many tests wait for something. Each takes one file after the
# other: the tests of a file share a server.
PARALLEL = -n $(shell $(BIN)/python -c 'import os; print(min(8, 2 * os.cpu_count()))') \
  --dist loadfile --no-loadscope-reorder
# Measuring doubles the time of a test. These hold the thresholds by themselves; the others show
# that the whole of it holds together, and need not be measured for that. Long files come first.
MEASURED := tests/cli tests/api tests/replay tests/projections tests/domain
# What every store has to be as good for.
CONTRACT := tests/api tests/conformance/test_contract.py tests/machine/test_over_http.py
# Tests start many processes, and each would compile everything again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# The checks run in the order in which they are listed.
.NOTPARALLEL:

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile

##### Install and run

.PHONY: install
install: $(VENV)/.installed ## Install what the server needs into .venv

.PHONY: install-dev
install-dev: $(VENV)/.installed-dev ## Install what the checks need as well

.PHONY: serve
serve: install ## Run the server
	$(BIN)/taskledger serve $(ARGS)

.PHONY: demo
demo: install-dev ## Walk through the product against a server of its own
	$(BIN)/python -m tests.demo $(ARGS)

.PHONY: bench
bench: install-dev ## Measure
	$(BIN)/python -m tests.bench $(ARGS)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "taskledger needs Python 3.11 or newer, but $(PYTHON) is $$($(PYTHON) --version 2>&1); try: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; \
	  exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml requirements.lock | $(BIN)/python
	$(PIP) install --quiet --require-hashes -r requirements.lock
	$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	$(PIP) install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

##### Check

.PHONY: test
test: check coverage ## Run every check and every test, with the coverage thresholds

.PHONY: check
check: format-check lint types imports ## Run the checks that need no tests

.PHONY: format
format: install-dev ## Rewrite the code in the house format
	$(BIN)/ruff format
	$(BIN)/ruff check --select I --fix

.PHONY: format-check
format-check: install-dev ## Check the format
	$(BIN)/ruff format --check

.PHONY: lint
lint: install-dev ## Check style and likely bugs
	$(BIN)/ruff check

.PHONY: types
types: install-dev ## Check the types
	$(BIN)/mypy

.PHONY: imports
imports: install-dev ## Check which package may import which
	$(BIN)/lint-imports

.PHONY: unit
unit: install-dev ## Run the tests alone
	$(BIN)/python -m pytest $(ARGS)

.PHONY: coverage
coverage: install-dev ## Run the tests on both stores and hold the coverage thresholds
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(PARALLEL) $(MEASURED) $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under=95
	$(BIN)/coverage report --fail-under=100 --include='domain/*,projections/*'
	$(BIN)/python -m pytest $(PARALLEL) $(MEASURED:%=--ignore=%) $(ARGS)
	TASKLEDGER_TEST_STORE=postgresql $(BIN)/python -m pytest $(PARALLEL) $(CONTRACT) $(ARGS)

##### Package and maintain

.PHONY: docs
docs: install-dev ## Write the pages of docs/reference from the code
	$(BIN)/python -m tests.docs

.PHONY: build
build: install-dev ## Build a wheel into dist/
	$(BIN)/python -m build --wheel --no-isolation

# The only target that fetches a tool which is not in the lock files.
.PHONY: lock
lock: ## Pin the newest allowed versions, with hashes
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet 'uv>=0.9,<1'
	.venv-lock/bin/uv pip compile $(LOCK_FLAGS) --group build --output-file requirements.lock pyproject.toml
	.venv-lock/bin/uv pip compile $(LOCK_FLAGS) --all-extras --group dev --constraint requirements.lock \
	  --output-file requirements-dev.lock pyproject.toml

LOCK_FLAGS := --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'

.PHONY: clean
clean: ## Remove the environments, caches and builds
	rm -rf $(VENV) .venv-lock .clients build dist .coverage .coverage.* .hypothesis .import_linter_cache \
	  .mypy_cache .pytest_cache .ruff_cache
	find $(PACKAGES) tests -name __pycache__ -type d -prune -exec rm -rf {} +
