# Two commands: `make serve` runs a gateway, `make test` runs the suite. Both build what they need.
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ARGS ?=
# The first Python here that llmgate runs on; `make PYTHON=... serve` names another.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2> /dev/null && echo $$python && break; done)
PIP = $(PYTHON) -m pip --python $(BIN)/python --quiet --disable-pip-version-check

# Another Python that llmgate runs on, if there is one here: starting and stopping is tested on both.
OTHER_PYTHON ?= $(shell mine=$$($(PYTHON) -c 'import sys; print(sys.version_info[:2])' 2> /dev/null); \
	for python in python3.13 python3.11; do \
	its=$$($$python -c 'import sys; print(sys.version_info[:2])' 2> /dev/null) && test "$$its" != "$$mine" && echo $$python && break; done)
OTHER_VENV := $(VENV)-other
LITELLM_VENV := $(VENV)-litellm
CLICKHOUSE_VENV := $(VENV)-clickhouse
# What looks at the dashboard: playwright's and axe's packages from npm, kept there until their pins change.
DASHBOARD := build/dashboard

.DEFAULT_GOAL := help
# The clients of `make test-clients`, kept there until their pins change.
CLIENTS := build/clients
# The other gateways of `make bench-peers`, likewise.
PEERS := build/peers

.PHONY: help serve test test-servers fuzz soak outage limits reloads test-clients test-dashboard litellm clickhouse check lint types bench bench-peers docs generated prices lock format clean

help: ## show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# pip, not uv: it obeys whatever index or mirror the machine is set up for, and the hashes hold either way. What builds our
# packages is pinned among the others: a build environment for each of them would be fetched anew, and take minutes.
$(STAMP): pyproject.toml requirements.lock $(wildcard plugins/llmgate-*/pyproject.toml)
	@test -n "$(PYTHON)" || { echo "llmgate needs Python 3.11, 3.12 or 3.13: make PYTHON=/path/to/python ..."; exit 1; }
	@echo "building $(VENV) with $(PYTHON), once ..."
	@$(PYTHON) -m venv $(VENV) 2> /dev/null || $(PYTHON) -m venv --without-pip $(VENV)
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-build-isolation --no-deps $(addprefix -e ,. $(wildcard plugins/llmgate-*))
	@touch $@

serve: $(STAMP) ## run a gateway on 127.0.0.1:8080 (ARGS="--port 9000" for more)
	@$(BIN)/llmgate serve $(ARGS)

# Where the packages cannot be had for the other one, the suite runs on this one alone.
$(OTHER_VENV)/.installed: pyproject.toml requirements.lock
	@echo "building $(OTHER_VENV) with $(OTHER_PYTHON), once ..."
	@rm -rf $(OTHER_VENV)
	@$(OTHER_PYTHON) -m venv --without-pip $(OTHER_VENV) \
		&& $(PYTHON) -m pip --python $(OTHER_VENV)/bin/python --quiet --disable-pip-version-check install --require-hashes -r requirements.lock \
		&& $(PYTHON) -m pip --python $(OTHER_VENV)/bin/python --quiet --disable-pip-version-check install --no-build-isolation --no-deps -e . \
		&& touch $@ \
		|| { echo "$(OTHER_PYTHON) cannot be had; testing with one Python"; rm -rf $(OTHER_VENV); }

test: $(STAMP) $(if $(OTHER_PYTHON),$(OTHER_VENV)/.installed) ## run the whole suite (ARGS="-k name" to pick)
	LLMGATE_TEST_PYTHON=$$(test ! -e $(OTHER_VENV)/.installed || echo $(abspath $(OTHER_VENV))/bin/python) \
		$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

# The suite itself runs all on hypercorn and a part on uvicorn. This takes a quarter of an hour.
test-servers: $(STAMP) ## run every test that serves on uvicorn and uvloop (ARGS="-k name")
	LLMGATE_TEST_SERVER=uvicorn LLMGATE_TEST_LOOP=uvloop $(BIN)/python -m pytest -n 2 --dist loadfile \
		tests/host tests/end_to_end tests/cli $(ARGS)

fuzz: $(STAMP) ## break streams of every format for FUZZ_SECONDS a case (default 20, about 3 minutes)
	LLMGATE_FUZZ_SECONDS=$${FUZZ_SECONDS:-20} $(BIN)/python -m pytest -q -n 2 tests/fuzz $(ARGS)

soak: $(STAMP) ## kill servers KILLS times under load (default 2000) and count their records
	LLMGATE_KILLS=$${KILLS:-2000} $(BIN)/python -m pytest -q tests/end_to_end/test_kills.py $(ARGS)

outage: $(STAMP) ## REQUESTS requests (default 100000) with a sink away, databases away for OUTAGE seconds (60) under load
	LLMGATE_REQUESTS=$${REQUESTS:-100000} LLMGATE_OUTAGE=$${OUTAGE:-60} $(BIN)/python -m pytest -q \
		tests/end_to_end/test_steady_memory.py plugins/llmgate-store/tests/test_records_journal.py $(ARGS)

limits: $(STAMP) ## 200 calls at once against a limit of 100, ROUNDS times (default 50), with Redis on 4 workers and 3 replicas
	LLMGATE_LIMIT_ROUNDS=$${ROUNDS:-50} $(BIN)/python -m pytest -q tests/plugins/test_redis_limits.py -k "exactly_the_limit" $(ARGS)

reloads: $(STAMP) ## reload a served configuration RELOADS times (default 100) within a minute, under load
	LLMGATE_RELOADS=$${RELOADS:-100} $(BIN)/python -m pytest -q tests/end_to_end/test_reloads.py $(ARGS)

# litellm wants an older openai than the suite does; two minutes at most, most of them its 230 MB.
$(LITELLM_VENV)/.installed: pyproject.toml plugins/llmgate-litellm/pyproject.toml plugins/llmgate-litellm/requirements.lock
	@echo "building $(LITELLM_VENV) with $(PYTHON), once ..."
	@rm -rf $(LITELLM_VENV)
	@$(PYTHON) -m venv --without-pip $(LITELLM_VENV)
	@$(PYTHON) -m pip --python $(LITELLM_VENV)/bin/python --quiet --disable-pip-version-check install --require-hashes \
		-r plugins/llmgate-litellm/requirements.lock
	@$(PYTHON) -m pip --python $(LITELLM_VENV)/bin/python --quiet --disable-pip-version-check install --no-deps \
		-e . -e plugins/llmgate-litellm
	@touch $@

litellm: $(LITELLM_VENV)/.installed ## test the plugin llmgate-litellm with the real library, in an environment of its own
	$(LITELLM_VENV)/bin/python -m pytest -c plugins/llmgate-litellm/real/pytest.ini plugins/llmgate-litellm/real $(ARGS)

# ClickHouse's own engine is 800 MB; the suite has a double in its place.
$(CLICKHOUSE_VENV)/.installed: pyproject.toml requirements.lock plugins/llmgate-clickhouse/pyproject.toml
	@echo "building $(CLICKHOUSE_VENV) with $(PYTHON), once ..."
	@rm -rf $(CLICKHOUSE_VENV)
	@$(PYTHON) -m venv --without-pip $(CLICKHOUSE_VENV)
	@$(PYTHON) -m pip --python $(CLICKHOUSE_VENV)/bin/python --quiet --disable-pip-version-check install --require-hashes -r requirements.lock
	@$(PYTHON) -m pip --python $(CLICKHOUSE_VENV)/bin/python --quiet --disable-pip-version-check install chdb==4.4.0
	@$(PYTHON) -m pip --python $(CLICKHOUSE_VENV)/bin/python --quiet --disable-pip-version-check install --no-deps \
		-e . -e plugins/llmgate-clickhouse
	@touch $@

clickhouse: $(CLICKHOUSE_VENV)/.installed ## test the plugin llmgate-clickhouse with ClickHouse's own engine, in an environment of its own
	$(CLICKHOUSE_VENV)/bin/python -m pytest -c plugins/llmgate-clickhouse/real/pytest.ini plugins/llmgate-clickhouse/real $(ARGS)

$(DASHBOARD)/.installed: plugins/llmgate-dashboard/real/package.json
	@rm -rf $(DASHBOARD) && mkdir -p $(DASHBOARD)
	@cp plugins/llmgate-dashboard/real/package.json $(DASHBOARD)
	@cd $(DASHBOARD) && npm install --no-package-lock --ignore-scripts --no-audit --no-fund > node.log 2>&1
	@touch $@

test-dashboard: $(STAMP) $(DASHBOARD)/.installed ## look at the dashboard in Chromium (needs Node 20 and Chromium)
	LLMGATE_DASHBOARD_MODULES=$(abspath $(DASHBOARD)) $(BIN)/python -m pytest \
		-c plugins/llmgate-dashboard/real/pytest.ini plugins/llmgate-dashboard/real $(ARGS)

# What cannot be installed here does not stop the rest: its tests fail, with what its installer said.
$(CLIENTS)/.installed: $(wildcard tests/clients/package.json tests/clients/*.txt)
	@echo "installing the clients into $(CLIENTS), once; this takes 2 GB ..."
	@rm -rf $(CLIENTS) && mkdir -p $(CLIENTS)/node
	@cp tests/clients/package.json $(CLIENTS)/node
	@cd $(CLIENTS)/node && npm install --no-package-lock --ignore-scripts --no-audit --no-fund > ../node.log 2>&1 || echo "npm has failed, see $(CLIENTS)/node.log"
	@for name in aider old python legacy; do \
		{ $(PYTHON) -m venv --without-pip $(CLIENTS)/$$name \
			&& $(PYTHON) -m pip --python $(CLIENTS)/$$name/bin/python --disable-pip-version-check install -r tests/clients/$$name.txt; \
		} > $(CLIENTS)/$$name.log 2>&1 || echo "pip has failed, see $(CLIENTS)/$$name.log"; done
	@touch $@

test-clients: $(STAMP) $(CLIENTS)/.installed ## run real clients against a gateway (needs Node 20; ARGS="-k name")
	$(BIN)/python -m pytest tests/clients $(ARGS)

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

bench: $(STAMP) ## measure, as ratios in one run of about 10 minutes
	$(BIN)/python -m benchmarks $(ARGS)

# What cannot be installed here is left out of the run, which says so.
$(PEERS)/.installed: $(wildcard benchmarks/peers/*.txt) benchmarks/peers/portkey/package.json
	@echo "installing other gateways into $(PEERS), once; this takes 1 GB ..."
	@rm -rf $(PEERS) && mkdir -p $(PEERS)/portkey
	@cp benchmarks/peers/portkey/package.json $(PEERS)/portkey
	@cd $(PEERS)/portkey && npm install --no-package-lock --ignore-scripts --no-audit --no-fund > ../portkey.log 2>&1 || echo "npm has failed, see $(PEERS)/portkey.log"
	@for name in tensorzero libraries litellm; do \
		{ $(PYTHON) -m venv --without-pip $(PEERS)/$$name \
			&& $(PYTHON) -m pip --python $(PEERS)/$$name/bin/python --disable-pip-version-check install -r benchmarks/peers/$$name.txt; \
		} > $(PEERS)/$$name.log 2>&1 || echo "pip has failed, see $(PEERS)/$$name.log"; done
	@touch $@

bench-peers: $(STAMP) $(PEERS)/.installed ## measure other gateways beside llmgate (needs Node 20 for Portkey's)
	$(BIN)/python -m benchmarks.peers $(ARGS)

docs: $(STAMP) ## build the documentation into docs/_build
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

generated: $(STAMP) ## write the generated pages and plugins/_template anew
	$(BIN)/python docs/generate.py
	$(BIN)/python plugins/generate.py

prices: $(STAMP) ## write the price catalogue anew from the installed genai-prices
	$(BIN)/python tools/compile_prices.py

lock: $(STAMP) ## pin every dependency anew
	@$(PIP) install uv
	$(BIN)/uv lock --upgrade
	$(BIN)/uv export --quiet --all-packages --all-extras --all-groups --no-emit-workspace --no-annotate --no-header \
		--format requirements-txt -o requirements.lock > /dev/null
	$(BIN)/uv pip compile --quiet --universal --upgrade --generate-hashes --no-header --no-annotate --extra test \
		--no-emit-package llmgate plugins/llmgate-litellm/pyproject.toml -o plugins/llmgate-litellm/requirements.lock

clean: ## remove what was built
	rm -rf $(VENV) $(OTHER_VENV) $(LITELLM_VENV) docs/_build dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
