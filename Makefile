# Two commands: `make serve` runs a gateway, `make test` runs the suite. Both build what they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help serve test check lint types bench docs lock format clean

help: ## show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1|/' | column -t -s '|'

$(STAMP): pyproject.toml requirements.lock $(wildcard plugins/*/pyproject.toml)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e . $(addprefix -e ,$(wildcard plugins/llmgate-*))
	@touch $@

serve: $(STAMP) ## run a gateway on 127.0.0.1:8080 (ARGS="--port 9000" for more)
	@$(BIN)/llmgate serve $(ARGS)

test: $(STAMP) ## run the whole suite (ARGS="-k name" to pick)
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

check: lint types ## ruff, mypy --strict and the import contracts

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

types: $(STAMP)
	$(BIN)/mypy

format: $(STAMP) ## write the code in the house style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP) ## measure, as ratios in one run
	$(BIN)/python -m benchmarks $(ARGS)

docs: $(STAMP) ## build the documentation into docs/_build
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

lock: $(STAMP) ## pin every dependency anew
	$(BIN)/uv lock --upgrade
	$(BIN)/uv export --quiet --all-extras --all-groups --no-emit-workspace --no-annotate --no-header \
		--format requirements-txt -o requirements.lock > /dev/null

clean: ## remove what was built
	rm -rf $(VENV) docs/_build dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
