# make run          sets itself up, starts circusd, answers at http://127.0.0.1:2014/
# make test         sets itself up, runs the tests; some of them: make test TESTS=tests/cli;
#                   in so many processes at a time: make test JOBS=1
# make lint         ruff and mypy
# make bench        the benchmark table; some rows: make bench ROWS="--only steady"
# make faults       brings about each fault, and prints the figures; some: make faults ROWS=--short
# make soak         load and faults at random: make soak MINUTES=10
# make dist         sdist and wheel, in dist/
# make constraints  pins the newest versions that suit every Python, in constraints.txt
# make clean        removes what these made
#
# With another interpreter, in an environment of its own: PYTHON=python3.12 make test
PYTHON ?= python3
ifeq ($(PYTHON),python3)
VENV ?= .venv
else
VENV ?= .venv-$(notdir $(PYTHON))
endif
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --no-input --disable-pip-version-check
TESTS ?=
JOBS ?= 2
ROWS ?=
MINUTES ?= 10
SEED ?=

.PHONY: run test lint bench faults soak dist constraints clean

run: $(VENV)/.installed
	@find deploy/var/run deploy/var/state -maxdepth 0 -type d -exec chmod 0700 {} +
	@find deploy/var/log -maxdepth 0 -type d -exec chmod 0750 {} +
	$(BIN)/circusd deploy/circus.ini

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(TESTS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(VENV)/.installed-dev
	$(BIN)/python -m tests.benchmarks $(ROWS)

faults: $(VENV)/.installed-dev
	$(BIN)/python -m tests.faults $(ROWS)

soak: $(VENV)/.installed-dev
	$(BIN)/python -m tests.soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

dist: $(VENV)/.installed-dev
	rm -rf dist
	$(BIN)/python -m build --no-isolation

constraints:
	.ci/constraints

# Each stamp says that a step is done: nothing is asked of the network a second time.
$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hospital needs Python 3.11 or newer, not %s; name one: PYTHON=python3.12 make" % sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	@touch $@

# The pip that a new environment has may be too old to know dependency groups.
$(VENV)/.installed: $(VENV)/.created pyproject.toml constraints.txt
	$(PIP) install --constraint constraints.txt 'pip>=25.1'
	$(PIP) install --constraint constraints.txt --group build
	$(PIP) install --constraint constraints.txt --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install --constraint constraints.txt --group dev
	@touch $@

clean:
	rm -rf .venv .venv-* .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
