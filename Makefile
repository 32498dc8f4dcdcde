# make            set up: .venv with pinned packages, the fleetlog command, the Java artifacts of the local stack
# make run        start everything and replay real sensor data; FOR=60s stops by itself and proves that nothing was lost; TRENDS=1: with Flink
# make test       every check and test, two files at a time: those without a stack, then those on real ones; ARGS="-k name" chooses
# make chaos      kill processes at random for 30 rounds, reconcile after each; then catch a carrier that is wrong on purpose
# make bench      measure, beside the peers
# make lint       ruff, mypy --strict, layer contracts: the quick part of the tests
# make flink      PyFlink in an environment of its own, .venv-flink, for the trends jobs (docs/trends.md)
# make lock       compile requirements/*.in into *.txt
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: all run test chaos bench lint lock clean flink

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Each stamp says that its step is done for the files that it depends on; with all of them fresh, nothing is run or fetched.
RUN := $(VENV)/run.stamp
DEV := $(VENV)/dev.stamp
JARS := $(VENV)/jars.stamp
CLIENTS := $(VENV)/clients.stamp
AUTHORITY := $(VENV)/authority.stamp
# PyFlink's own environment: its pins hold others back.
FLINK_VENV := .venv-flink
FLINK := $(FLINK_VENV)/flink.stamp
PROCESSES := 2
# The tests with a marker; a few that failed once more by themselves. Tests cache: see tests/again.py.
define tests
	$(BIN)/python -m pytest -m "$(1)" -o cache_dir=.pytest_cache/of-make-test --cache-clear $(2) $(ARGS) \
		|| $(BIN)/python -m tests.again $$? -m "$(1)" $(ARGS)
endef

all: $(RUN) $(JARS)

run: all $(if $(TRENDS),$(FLINK))
	$(if $(TRENDS),FLEETLOG_TRENDS=1) $(BIN)/fleetlog run $(if $(FOR),--for $(FOR))

test: $(DEV) $(JARS) $(CLIENTS) $(AUTHORITY) $(FLINK)
	$(BIN)/fleetlog schema check
	$(call tests,not stack,--numprocesses $(PROCESSES) --dist loadfile)
	$(call tests,stack,--numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder)

chaos: $(DEV) $(JARS)
	$(BIN)/fleetlog chaos $(ARGS)
	$(BIN)/python -m pytest tests/chaos/test_controls.py

bench: $(DEV) $(JARS) $(FLINK)
	for name in carrier ingress rest sink decode memory registration transport authority decider ledger rebuild proof as-of rules trends; do $(BIN)/fleetlog bench $$name $(ARGS) || exit; done

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

flink: $(FLINK) $(JARS)

lock:
	sh scripts/lock.sh

clean:
	rm -rf $(VENV) $(FLINK_VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis *.egg-info

$(BIN)/python:
	sh scripts/make-venv.sh $(VENV)

# --no-build-isolation: setuptools comes from the pinned requirements, not from an unpinned download.
define install
	$(PIP) install --require-hashes -r $(1)
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@
endef

$(RUN): requirements/run.txt pyproject.toml | $(BIN)/python
	$(call install,requirements/run.txt)

# The dev set holds the run set in the same versions.
$(DEV): requirements/dev.txt requirements/run.txt pyproject.toml | $(BIN)/python
	$(call install,requirements/dev.txt)
	touch $(RUN)

# Some packages of it come as source: what builds them is pinned too, and so comes first.
$(FLINK): requirements/flink.txt requirements/flink-build.txt
	sh scripts/make-venv.sh $(FLINK_VENV)
	$(FLINK_VENV)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements/flink-build.txt
	$(FLINK_VENV)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes --no-build-isolation -r requirements/flink.txt
	touch $@

# Needs the fleetlog command, from whichever set was installed; made anew when the list of artifacts or the JVM changes.
$(JARS): infra/stack/jars.toml requirements/run.txt
	@test -e $(RUN) || $(MAKE) $(RUN)
	$(BIN)/fleetlog jars
	touch $@

# The Node, Go and Java packages and kcat, with which every snippet of docs/clients.md is run.
$(CLIENTS): $(addprefix tests/clients/,install.py jars.toml go/go.mod go/go.sum node/package-lock.json) $(DEV) $(JARS)
	$(BIN)/python -m tests.clients.install
	touch $@

# SoftHSM and zlint, with which the certificate authority is tested.
$(AUTHORITY): scripts/softhsm.sh $(addprefix tests/connectors/authority/,install.py zlint/go.mod zlint/go.sum) $(DEV)
	$(BIN)/python -m tests.connectors.authority.install
	touch $@
