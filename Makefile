# make demo   installs what is needed and runs the main job on this machine
# make test   installs what is needed and passes all tests
# make build  makes a wheel and a source distribution in dist/
# make mutants  changes the sources in small ways and counts how many changes the tests notice
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

export ORT_DISABLE_TELEMETRY := 1

.PHONY: install demo test check build mutants bench bench-quick system clean lock
.DEFAULT_GOAL := install

install: $(STAMP)

# Pinned with hashes; the project itself is built by the hatchling that the lock pins.
$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/lutfarm demo --out demo-out

system:
	scripts/install-system-packages.sh

# Two at once: much of it waits, for a link to fail or a board to boot.
test: $(STAMP) system
	$(BIN)/python -m pytest --numprocesses 2 --dist loadscope --no-loadscope-reorder

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/lint-imports
	$(BIN)/pyright --pythonpath $(BIN)/python

# A wheel and a source distribution in dist/.
build: $(STAMP)
	$(BIN)/hatchling build --directory dist

mutants: $(STAMP)
	$(BIN)/python scripts/mutants.py $(MUTANTS)

bench: $(STAMP)
	@for command in benchmarks/[a-z]*.py; do echo "== $$command"; $(BIN)/python $$command || exit 1; done

bench-quick: $(STAMP)
	@for command in benchmarks/[a-z]*.py; do echo "== $$command"; $(BIN)/python $$command --quick || exit 1; done

clean:
	rm -rf $(VENV) demo-out dist

# Writes requirements.lock anew: pinned for Python 3.11 and newer, with hashes, without index addresses.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--group dev pyproject.toml --output-file requirements.lock --quiet
