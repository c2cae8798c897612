# make demo    the example project with the sandbox bank, on http://127.0.0.1:8000/ (PORT=8001 for another port)
# make test    lint, types, and all tests that need nothing but Python: some three minutes
# make test-all  what needs more, or takes longer: browsers, PostgreSQL, MariaDB, Redis, other Pythons and Djangos
# make mutants  rules changed one at a time, to see whether a test notices: N=30 SEED=1
# make fuzz    the webhook, fed by atheris with what it makes up: SECONDS=120 for each of three targets
# make bench   everything that docs/performance.md tells, measured again: needs PostgreSQL, takes an hour
# make lint    ruff, mypy, import-linter, forgotten migrations
# make clean   the environment, the demo's data and what tools have left behind
#
# Nothing but Python 3.11 or newer is needed; PYTHON=python3.12 picks another one.

PYTHON ?= python3
PORT ?= 8000
SECONDS ?= 120
N ?= 30
SEED ?= 1
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq

.DEFAULT_GOAL := help
.PHONY: help demo test test-all mutants fuzz bench lint clean

help:
	@sed -n 's/^# make/make/p' Makefile

# --- The environment -----------------------------------------------------------------------------

# Made once, and brought up to date when pyproject.toml changes.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "This needs Python 3.11 or newer, and $(PYTHON) is: $$($(PYTHON) --version 2>&1 || true)"; \
	  echo "Name another one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; } >&2
	@test -x $(BIN)/pip || echo "Making the environment in $(VENV) …"
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || { \
	  echo "Python could not make an environment. On Debian and Ubuntu: apt install python3-venv" >&2; \
	  rm -rf $(VENV); exit 1; }
	@touch $@

$(VENV)/.installed: $(VENV)/.made pyproject.toml
	@echo "Installing what the site needs …"
	@$(PIP) install --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.made pyproject.toml
	@echo "Installing what the tests need …"
	@$(PIP) install --editable '.[dev]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-fuzz: $(VENV)/.made pyproject.toml
	@echo "Installing what the fuzzer needs …"
	@$(PIP) install --editable '.[fuzz]'
	@touch $@ $(VENV)/.installed

# --- The demo ------------------------------------------------------------------------------------

SERVE = $(BIN)/python manage.py runserver --noreload 127.0.0.1:$(PORT) >/dev/null

demo: export DEBUG = true
demo: export PORT := $(PORT)
demo: $(VENV)/.installed
	@$(BIN)/python manage.py migrate --verbosity 0
	@$(BIN)/python manage.py demo
	@# Job control (set -m) gives Ctrl-C to the server alone, so that make does not end with an error.
	@if [ -t 0 ]; then set -m; $(SERVE); else exec $(SERVE); fi

# --- The checks ----------------------------------------------------------------------------------

lint: $(VENV)/.installed-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy business_os_banking tests benchmarks docs/pictures
	@$(BIN)/mypy --config-file example_project/mypy.ini example_project manage.py
	@$(BIN)/lint-imports
	@DJANGO_SETTINGS_MODULE=tests.settings $(BIN)/python -m django makemigrations --check --dry-run
	@$(BIN)/python manage.py makemigrations --check --dry-run

test: lint
	@$(BIN)/python -m pytest -n auto --cov --cov-report=term -m "not browser and not packaging and not long"
	@echo "Not run here, since it needs more than Python, or takes longer: browsers, the wheel in a bare site, long runs,"
	@echo "PostgreSQL, MariaDB, other Pythons and Djangos. make test-all runs them."

test-all: $(VENV)/.installed-dev
	@tests/legs.sh $(BIN)/python

mutants: $(VENV)/.installed-dev
	@nice $(BIN)/python -m tests.mutants $(N) $(SEED) $(ARGS)

# Not part of `make test`: atheris is not to be had for every Python, and is never done.
fuzz: $(VENV)/.installed-fuzz
	@for target in payload verifiers webhook; do \
	  $(BIN)/python -m tests.fuzz.harness $$target -max_total_time=$(SECONDS) -print_final_stats=1 || exit 1; \
	done

# The peer has an environment of its own: its dependencies are no business of ours.
bench: $(VENV)/.installed-dev
	@$(PIP) install --editable '.[bench]'
	@test -x $(VENV)/bench-peer/bin/python || $(PYTHON) -m venv $(VENV)/bench-peer
	@$(VENV)/bench-peer/bin/python -m pip --disable-pip-version-check -qq install 'dj-stripe~=2.11' gunicorn \
	  'psycopg[binary]' django-environ
	@BENCHMARK_PEER=$(VENV)/bench-peer/bin/python $(BIN)/python -m benchmarks $(ARGS)

clean:
	rm -rf $(VENV) .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
	find example_project/var -type f ! -name .gitignore -delete
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
