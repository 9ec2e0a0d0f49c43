# The tasks of a developer. They need Python 3.11 or later, make and a package index; everything
# else is installed into .venv when a target first needs it.

PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=
STORE  ?=

BIN   := $(VENV)/bin
PY    := $(BIN)/python
STAMP := $(VENV)/.installed
LOCK  := requirements-dev.lock
# Tests start hundreds of processes; each would compile the sources again if none kept the result.
PYTEST := env -u PYTHONDONTWRITEBYTECODE $(PY) -m pytest
BENCH := $(VENV)/bench
BENCH_STAMP := $(BENCH)/.installed
INTEGRATIONS := $(VENV)/integrations
INTEGRATIONS_STAMP := $(INTEGRATIONS)/.installed
# What `make test` leaves out. `make integrations` runs the tests with programs of others (a browser,
# clients that npm installs, schemathesis, an older PostgreSQL) and those of the benchmarks; `make docs`
# runs the code of the pages, checks its types, runs the chat service of a guide, and certifies the
# backend of another.
CLIENTS := tests/http/clients tests/http/dashboard/browser tests/http/test_schemathesis.py tests/benchmarks
PAGES   := README.md docs $(addprefix tests/docs/test_,chat_service.py types.py write_a_backend.py)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# pyright runs from its wheel; without this it may ask a registry for a newer version.
export PYRIGHT_PYTHON_IGNORE_WARNINGS = 1

.PHONY: help setup demo test clients integrations certified check format docs screenshots twin soak bench profile lock clean

help:  ## List the targets
	@echo "make TARGET [ARGS=...] [PYTHON=python3.12]"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12

setup: $(STAMP)  ## Install the locked tools and treadle itself into .venv

# Runs again only when the packages to install have changed.
$(STAMP): pyproject.toml $(LOCK)
	@echo "==> setup: $(VENV) (the first time takes a minute)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "treadle needs Python 3.11 or later, PYTHON=$(PYTHON) is %d.%d" % sys.version_info[:2])'
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install --quiet -r $(LOCK)
	@$(PY) -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP)  ## Run `treadle demo $(ARGS)`; STORE=sqlite, STORE=postgres (starts a server) or STORE=URL
ifeq ($(STORE),postgres)
	@$(PY) -m tests.postgres.demo $(ARGS)
else ifeq ($(STORE),sqlite)
	@$(BIN)/treadle demo --store "sqlite:///$$(mktemp -d)/demo.db" $(ARGS)
else ifeq ($(STORE),)
	@$(BIN)/treadle demo $(ARGS)
else
	@$(BIN)/treadle demo --store '$(STORE)' $(ARGS)
endif

# Five processes on two cores, because tests wait for other processes and for servers.
test: $(STAMP)  ## Run the tests on two cores; ARGS="-k claim -x" goes to pytest
	$(PYTEST) -n 5 --dist loadgroup $(addprefix --ignore=,$(CLIENTS) $(PAGES)) $(ARGS)

clients: $(STAMP)  ## Test the dashboard in Chromium, the API with clients of others, plans on PostgreSQL 16, and the benchmarks; ARGS as for test
	$(PYTEST) $(CLIENTS) -n 2 --dist loadgroup $(ARGS)
	@test -n '$(ARGS)' || $(PY) -m tests.postgres.older

# Frameworks and peers have many dependencies, which must not get into the environment of the tools.
# Each has the dependency group of its name.
$(INTEGRATIONS_STAMP) $(BENCH_STAMP): $(VENV)/%/.installed: pyproject.toml $(STAMP)
	@echo "==> packages of $*: $(@D) (the first time takes a minute)"
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet 'pip>=25.1'
	@$(@D)/bin/python -m pip install --quiet -e . --group $*
	@touch $@

integrations: $(INTEGRATIONS_STAMP)  ## make clients, and check and test the adapters beside the frameworks; ARGS as for test
	@test -n '$(ARGS)' || $(MAKE) clients
	@echo "==> mypy"
	@$(BIN)/mypy --python-executable $(INTEGRATIONS)/bin/python $$(find src/treadle/integrations tests/frameworks -name '*.py')
	@echo "==> pyright"
	@$(BIN)/pyright --project tests/frameworks/pyrightconfig.json --pythonpath $(INTEGRATIONS)/bin/python
	@test -n '$(ARGS)' || rm -rf build/certified
	env -u PYTHONDONTWRITEBYTECODE $(INTEGRATIONS)/bin/python -m pytest tests/frameworks docs/how-to/frameworks \
		-n 2 --dist loadgroup --timeout 900 $(ARGS)
	@test -n '$(ARGS)' || $(INTEGRATIONS)/bin/python -m tests.frameworks.certified_page --check

certified: $(INTEGRATIONS_STAMP)  ## Write docs/reference/certified.md from the results of make integrations
	@$(INTEGRATIONS)/bin/python -m tests.frameworks.certified_page

check: $(STAMP)  ## Check format, lint, types (mypy and pyright) and who imports whom
	@echo "==> ruff format"
	@$(BIN)/ruff format --check .
	@echo "==> ruff check"
	@$(BIN)/ruff check .
	@echo "==> mypy"
	@$(BIN)/mypy
	@echo "==> pyright"
	@$(BIN)/pyright --pythonpath $(PY)
	@echo "==> lint-imports"
	@$(BIN)/lint-imports --no-logo

format: $(STAMP)  ## Format the code and fix what ruff can fix
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

docs: $(STAMP)  ## Write the reference's pages, build the site in build/docs (a warning is an error), and run the code of the pages
	@$(PY) docs/_extensions/pages.py
	@$(PY) -m sphinx --quiet --fail-on-warning $(ARGS) docs build/docs
	@echo "==> docs: build/docs/index.html"
	@test -n '$(ARGS)' || $(PYTEST) -n 3 --dist loadgroup $(PAGES)

screenshots: $(STAMP)  ## Write the pictures of the dashboard for the documents; needs Chromium
	@$(PY) -m tests.http.dashboard.browser.screenshots

twin: $(STAMP)  ## Write the modules of treadle.blocking from those of the asynchronous store
	@$(PY) -m tests.blocking.twin

soak: $(STAMP)  ## Run the long tests (random crashes, long histories, many random values), an hour each at most
	$(PYTEST) -m "soak or hypothesis" --hypothesis-profile soak --timeout 3600 $(ARGS)

bench: $(BENCH_STAMP)  ## Measure Treadle, its peers and the same work by hand; ARGS="--quick", ARGS="queue --store files"
	@$(BENCH)/bin/python -m benchmarks $(ARGS)

profile: $(STAMP)  ## Show how long each layer takes for the common commits; ARGS="--store sqlite append", ARGS=--json
	@$(PY) -m benchmarks.profiling $(ARGS)

# This target does not need the lock: uv is installed separately, so that a broken lock can be replaced.
lock:  ## Bring requirements-dev.lock up to date; ARGS=--upgrade takes the newest versions
	@echo "==> lock: $(LOCK)"
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(PY) -m pip install --quiet uv
	@$(BIN)/uv pip compile --quiet --no-config --universal --python-version 3.11 \
		--extra cli --extra http --extra postgres --extra testing --group dev \
		--generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate \
		--custom-compile-command "make lock" $(ARGS) -o $(LOCK) pyproject.toml > /dev/null

clean:  ## Remove .venv, caches and build products
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis __pycache__
	find src tests benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
