# porefield. `make` alone lists what there is. Needs Python >= 3.11 and make; everything else goes into $(VENV).
PYTHON ?= python3
VENV ?= .venv
PROCESSES ?= 2
BIN := $(VENV)/bin

RUNTIME := $(VENV)/.runtime-ready
DEV := $(VENV)/.dev-ready
# Not compiling 700 MB of packages to bytecode halves the installation; what is imported is compiled on first use.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
CHECKED := kernels meshes workers service benchmarks examples tests
PACKAGES := kernels meshes workers service

.PHONY: help setup dev demo test quick check audit format verify gallery bench bench-peers bench-growth bench-page \
        bench-compare pins pins-peers clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 22

setup: $(RUNTIME)  ## install the pinned runtime and porefield (editable) into .venv

demo: $(RUNTIME)  ## solve the built-in plan; leaves demo/report.html and demo/coverage.png
	$(BIN)/porefield run examples/demo.yaml --out demo --overwrite
	@echo "Look at demo/report.html and demo/coverage.png"

dev: $(DEV)  ## add the pinned development tools

# Files stay whole: what a module sets up, and the Ray cluster of a process, serve all of its tests.
# A crashed process ends the run: pytest-xdist would wait for ever for the files it had.
test: $(DEV)  ## run all tests, in PROCESSES (2) at once
	$(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile --max-worker-restart 0

quick: $(DEV)  ## run the tests not marked slow
	$(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile --max-worker-restart 0 -m "not slow"

check: $(DEV)  ## formatting, lint, types, layers
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

audit: $(DEV)  ## look the pinned packages up among known vulnerabilities (asks the package index)
	$(BIN)/uv tool run --quiet pip-audit --require-hashes --disable-pip -r requirements/runtime-cluster.txt

format: $(DEV)  ## format, and mend what ruff can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

verify: $(DEV)  ## solve the verification cases on fine grids; writes docs/verification.md (20 minutes)
	$(BIN)/python -m benchmarks.verification

gallery: $(DEV)  ## solve the case gallery; writes docs/gallery.md with its pictures (3 minutes)
	$(BIN)/python -m benchmarks.gallery

bench: $(DEV)  ## run the benchmarks; figures in .benchmarks/latest.json
	@mkdir -p .benchmarks
	$(BIN)/python -m pytest benchmarks --benchmark-only --benchmark-json=.benchmarks/latest.json

PEERS := .venv-peers
bench-peers: $(DEV) $(PEERS)/.ready  ## other solvers beside porefield: the same equations, and seconds to 1 % (half an hour)
	$(BIN)/python -m benchmarks.peers --voxels 32 64 96 128
	$(BIN)/python -m benchmarks.peers --accuracy

bench-growth: $(DEV)  ## how cost grows with voxels, contrast, steepness, needles, tilt, threads, and restarts (10 minutes)
	$(BIN)/python -m benchmarks.growth
	$(BIN)/python -m benchmarks.restarts
	$(BIN)/python -m benchmarks.breakdown

bench-page: $(DEV)  ## docs/performance.md anew, from what the benchmarks left
	$(BIN)/python -m benchmarks.performance $(if $(wildcard .benchmarks/latest.json),--take .benchmarks/latest.json)

bench-compare: $(DEV)  ## the working tree against commit BASE, taking turns: make bench-compare BASE=main~5
	$(BIN)/python -m benchmarks.compare $(or $(BASE),$(error name a commit: make bench-compare BASE=main~5))

# What can't be installed here is named in the results. Only Linux has wheels of all of them.
$(PEERS)/.ready: benchmarks/peers/requirements.txt benchmarks/peers/requirements-source.txt | $(BIN)/python
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes \
	  -r benchmarks/peers/requirements.txt
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
	  -r benchmarks/peers/requirements-source.txt || echo "AMGCL could not be built: it needs a C++ compiler and Boost's headers"
	@touch $@

PIN := $(BIN)/uv pip compile pyproject.toml --group build --universal --python-version 3.11 --generate-hashes \
       --no-header --no-emit-index-url --no-emit-find-links --upgrade --quiet
# The largest set first: where a tool holds a package back, users get the version that the tests ran on.
pins: $(DEV)  ## resolve the requirements anew for Python 3.11 and later
	$(PIN) --extra cluster --extra dicom --extra surfaces --group dev -o requirements/dev.txt
	$(PIN) -c requirements/dev.txt -o requirements/runtime.txt
	$(PIN) -c requirements/dev.txt --extra jobs -o requirements/runtime-cluster.txt
	$(PIN) -c requirements/runtime.txt --extra cuda13 -o requirements/runtime-cuda13.txt
	$(PIN) -c requirements/runtime-cluster.txt --extra jobs --extra cuda13 -o requirements/runtime-cluster-cuda13.txt

pins-peers: $(DEV)  ## resolve the peers' environment anew
	$(BIN)/uv pip compile benchmarks/peers/requirements.in --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-emit-index-url --no-emit-find-links --upgrade --quiet -o benchmarks/peers/requirements.txt

clean:  ## remove what was built, cached or drawn; keeps .venv
	rm -rf build dist *.egg-info demo .benchmarks .pytest_cache .ruff_cache .hypothesis .jax_cache .import_linter_cache
	find $(CHECKED) -name __pycache__ -type d -prune -exec rm -rf {} +

define CHECK_PYTHON
import sys
if sys.version_info < (3, 11):
    sys.exit("porefield needs Python 3.11 or newer, and $(PYTHON) is %d.%d. "
             "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" % sys.version_info[:2])
endef
export CHECK_PYTHON

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "No $(PYTHON) here. Name a Python >= 3.11: make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c "$$CHECK_PYTHON"
	$(PYTHON) -m venv $(VENV)

# The links under typing/ show type checkers the packages by their import names; nothing runs from there.
$(RUNTIME): requirements/runtime.txt pyproject.toml | $(BIN)/python
	@echo "Installing the pinned runtime into $(VENV) (about a minute the first time)"
	@$(PIP_INSTALL) --require-hashes -r requirements/runtime.txt
	@$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@mkdir -p $(VENV)/typing/porefield
	@for p in $(PACKAGES); do ln -sfn "$(CURDIR)/$$p" $(VENV)/typing/porefield/$$p; done
	@touch $@

$(DEV): requirements/dev.txt $(RUNTIME)
	@echo "Installing the pinned development tools into $(VENV)"
	@$(PIP_INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@
