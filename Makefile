# `make demo` shows the main job, `make test` runs the tests; each sets up what it needs from nothing.
PYTHON ?= python3
BIN    := .venv/bin
RUN    := .venv/.run
DEV    := .venv/.dev
SAMPLE ?= 1
SOAK   ?= 1200
SEED   ?=
ORACLE ?=
EXAMPLE := examples/home-router

.PHONY: demo demo-live test lint truth record oracle-mirror oracle-xdp oracle-hardware live-oracle mutants fuzz sanitize bench soak pressure wheel clean

demo: $(RUN)
	$(BIN)/flowtable run $(EXAMPLE)/ruleset.nft --box $(EXAMPLE)/box.yaml $(EXAMPLE)/input.pcapng \
	    --out build/demo.pcapng --conntrack -

# As root.
demo-live: $(RUN)
	tools/debian-packages
	PATH="$(CURDIR)/$(BIN):$$PATH" examples/live-demo/demo

test: $(DEV)
	tools/debian-packages
	$(BIN)/pytest -q -n auto --dist loadfile

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

truth: $(DEV)
	PYTHONPATH=tools $(BIN)/python tools/truth

# As root. ORACLE is a command that runs a script on a kernel with flowtables: see docs/scenarios.md.
record: $(DEV)
	tools/debian-packages
	PYTHONPATH=tools $(BIN)/python tools/record-scenario --check --classic --sample $(SAMPLE)
	$(if $(ORACLE),$(ORACLE) tools/under-oracle $(CURDIR) --check --sample $(SAMPLE))

# The fast path in the kernel, on the kernel of ORACLE.
oracle-mirror: $(DEV)
	$(ORACLE) tools/tests-under-oracle $(CURDIR) -q tests/live/kinds_under_oracle.py

oracle-xdp: $(DEV)
	$(ORACLE) tools/tests-under-oracle $(CURDIR) -q tests/datapath/test_xdp.py tests/datapath/test_attach.py

# The service, through devices that this kernel may not have, on the kernel of ORACLE.
live-oracle: $(DEV)
	$(ORACLE) tools/tests-under-oracle $(CURDIR) -q tests/live/selftest_under_oracle.py tests/live/test_selftest.py

mutants: $(DEV)
	PYTHONPATH=tools $(BIN)/python tools/mutate

# As root also two million frames through the fast path in the kernel.
fuzz: $(DEV)
	$(BIN)/python tools/fuzz
	FLOWTABLE_FUZZ=10 $(BIN)/pytest -q -n auto tests/datapath/test_xdp.py -k same_frames

sanitize: $(DEV)
	$(BIN)/python tools/sanitize

# As root; who is not leaves the kernel out.
bench: $(DEV)
	PYTHONPATH=tools $(BIN)/python tools/bench --page docs/performance.md

# As root: a service that is left no peace, for twenty minutes. SEED draws what happens.
soak: $(DEV)
	PYTHONPATH=tools $(BIN)/python tools/soak --seconds $(SOAK) $(if $(SEED),--seed $(SEED))

# 100,000 flows on a chip with 16,000 entries, by eviction policy: docs/hardware.md.
pressure: $(DEV)
	$(BIN)/python tools/pressure

# For each machine a wheel, by the compiler in the build requirements; and the sources.
wheel: $(DEV)
	rm -rf dist
	for machine in x86_64 aarch64; do \
	    FLOWTABLE_TARGET=$$machine-linux-gnu.2.28 $(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist . || exit 1; \
	done
	$(BIN)/python -m hatchling build --target sdist
	$(BIN)/python tools/check-wheel dist

# As root, with ORACLE as for record: the driver for tc on a kernel that has flower.
oracle-hardware: $(DEV)
	$(ORACLE) tools/hardware-under-oracle $(CURDIR)

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(RUN): pyproject.toml hatch_build.py $(wildcard src/flowtable/*/c/*) tools/venv
	PYTHON=$(PYTHON) tools/venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	mkdir -p build
	touch $@

$(DEV): pyproject.toml $(RUN)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev
	touch $@
