# make demo   installs what lutfarm runs with, and runs the main job on this machine
# make test   installs what is needed and passes all tests
# make check  ruff, the import rules, pyright
# make build  makes a wheel and a source distribution in dist/
# make mutants  changes the sources in small ways and counts how many changes the tests notice
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
# A line a package; errors are shown, warnings are of the person's own pip settings: what is installed is pinned.
PIP := $(BIN)/python -m pip --disable-pip-version-check
PROGRESS := awk '/^Collecting / { print "  " $$2; fflush() } \
	/^Installing collected/ { print "  putting them into $(VENV)"; fflush() }'
LOCKED := $(PIP) install --require-hashes --no-warn-script-location --root-user-action ignore --progress-bar off \
	2> >(grep --line-buffered -v '^WARNING: ' >&2) --requirement
SHELL := bash
.SHELLFLAGS := -o pipefail -c

export ORT_DISABLE_TELEMETRY := 1
# Every lutfarm that a demo or a test starts would compile its modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install demo test check docs build mutants bench bench-quick system clean lock
.DEFAULT_GOAL := install

install: $(STAMP)

# Pinned with hashes; the project itself is built by the hatchling that the lock pins.
$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	@echo "installing what lutfarm runs with: requirements.lock"
	@$(LOCKED) requirements.lock | $(PROGRESS)
	@$(PIP) install -qq --no-build-isolation --no-deps --editable .
	@touch $@

# What lutfarm runs with and what develops it.
$(DEV_STAMP): requirements-dev.lock $(STAMP)
	@echo "installing what develops lutfarm: requirements-dev.lock"
	@$(LOCKED) requirements-dev.lock | $(PROGRESS)
	@touch $@

demo: $(STAMP)
	$(BIN)/lutfarm demo --out demo-out

system:
	scripts/install-system-packages.sh

# Two at once: much of it waits, for a link to fail or a board to boot.
test: $(DEV_STAMP) system
	$(BIN)/python -m pytest --numprocesses 2 --dist loadscope --no-loadscope-reorder

check: $(DEV_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/lint-imports
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/pyright --project benchmarks/pyrightconfig.json --pythonpath $(abspath $(BIN)/python)

# Links, headings, commands, options, make targets and paths that the documentation names are there.
docs: $(STAMP)
	$(BIN)/python scripts/check_docs.py

# A wheel and a source distribution in dist/.
build: $(STAMP)
	$(BIN)/hatchling build --directory dist

mutants: $(DEV_STAMP)
	$(BIN)/python scripts/mutants.py $(MUTANTS)

bench: $(DEV_STAMP)
	@for command in benchmarks/[a-z]*.py; do echo "== $$command"; $(BIN)/python $$command || exit 1; done

bench-quick: $(DEV_STAMP)
	@for command in benchmarks/[a-z]*.py; do echo "== $$command"; $(BIN)/python $$command --quick || exit 1; done

clean:
	rm -rf $(VENV) demo-out dist

# Writes both locks anew, with the versions that they pin where those still fit: for Python 3.11 and newer, with hashes,
# without index addresses.  What develops lutfarm is held to what lutfarm runs with.  Needs uv: pip install uv.
COMPILE := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet --extra all pyproject.toml
lock:
	$(COMPILE) --group build --output-file requirements.lock
	$(COMPILE) --group dev --constraint requirements.lock --output-file requirements-dev.lock
