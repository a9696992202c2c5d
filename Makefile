.PHONY: setup run test cover lint bench chaos soak lock clean
.DEFAULT_GOAL := setup

PYTHON ?= python3
FOR ?=
SEED ?=
VENV := .venv/.installed
# Many tests wait for a timeout, so more of them than there are cores. A few files take minutes with
# few tests: in the default order, by number of tests, they would come last.
PYTEST := .venv/bin/pytest -n 4 --dist loadfile --no-loadscope-reorder

# The lock file names what is installed, exactly; pyproject.toml says what would do. Nothing is resolved
# again: for a name with extras pip would take a newer release than the locked one, and refuse its hash.
$(VENV): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --no-deps --require-hashes --requirement requirements.lock
	.venv/bin/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

setup: $(VENV)  ## virtual environment, everything installed

run: $(VENV)  ## the simulated venue through Kafka into PostgreSQL; make run FOR=20s stops by itself
	.venv/bin/tape up $(if $(FOR),--for $(FOR))

test: $(VENV)  ## the tests, with the real Kafka and PostgreSQL
	$(PYTEST)

cover: $(VENV)  ## the same, and the lines that no test came by; some minutes longer
	$(PYTEST) --hypothesis-profile default --cov --cov-report term:skip-covered

chaos: $(VENV)  ## the long forms of the tests that kill
	.venv/bin/pytest -m chaos

soak: $(VENV)  ## ten minutes of faults and kills, then every table compared; make soak FOR=4m SEED=7
	.venv/bin/python -m tests.soak $(if $(FOR),--for $(FOR)) $(if $(SEED),--seed $(SEED))

lint: $(VENV)  ## ruff, mypy --strict, import-linter
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

bench: $(VENV)  ## side by side with Debezium, quixstreams and plain Faust; about half an hour
	.venv/bin/python -m benchmarks

lock: $(VENV)  ## write requirements.lock anew from pyproject.toml
	.venv/bin/pip install --quiet pip-tools
	.venv/bin/pip-compile --quiet --strip-extras --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --extra embedded --extra dev --output-file requirements.lock pyproject.toml

clean:  ## remove the virtual environment
	rm -rf .venv
