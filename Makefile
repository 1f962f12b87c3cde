# `make` lists what there is to do. Every target makes the virtual environment it needs by itself.
#
#   TORCH=cpu   (default) the pinned torch of constraints-cpu.txt
#   TORCH=gpu   whatever build of torch the package index holds for this machine; remembered until TORCH=cpu is given
#   PYTHON=…    the interpreter to make the virtual environment with (default: python3)
#   UV=         install with pip even where uv is present

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp-dev
UV ?= $(shell command -v uv 2>/dev/null)

REMEMBERED := $(shell cat $(VENV)/.torch 2>/dev/null)
TORCH ?= $(or $(REMEMBERED),cpu)
ifeq ($(filter cpu gpu,$(TORCH)),)
$(error TORCH is "$(TORCH)"; it can be cpu or gpu)
endif
ifneq ($(TORCH),$(or $(REMEMBERED),$(TORCH)))
.PHONY: $(STAMP) # another torch than the one installed is asked for: install again
endif

ifeq ($(TORCH),cpu)
TORCH_REQUIREMENT := torch==2.13.0
CONSTRAINTS := -c constraints-cpu.txt
else
TORCH_REQUIREMENT := torch
CONSTRAINTS :=
endif

# pip reads PIP_FIND_LINKS itself, uv has to be told. One of the folders may hold the CPU build, so a GPU build is looked
# for without them.
ifeq ($(TORCH),gpu)
unexport PIP_FIND_LINKS
FIND_LINKS :=
else
FIND_LINKS := $(foreach place,$(PIP_FIND_LINKS),--find-links "$(place)")
endif
ifneq ($(UV),)
INSTALL := "$(UV)" pip install --quiet --python $(BIN)/python $(FIND_LINKS)
UNINSTALL := "$(UV)" pip uninstall --quiet --python $(BIN)/python
else
INSTALL := $(BIN)/python -m pip install --quiet
UNINSTALL := $(BIN)/python -m pip uninstall --quiet --yes
endif

# Two torch threads that spin while something else has the core turn 30 ms into seconds.
export OMP_WAIT_POLICY := PASSIVE
# Tests run in two processes with one thread each; PROCESSES=0 runs them in one, to debug or to see what they print.
PROCESSES ?= 2
PYTEST := OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile

# TypeScript and axe-core, for the annotation page's checks alone.
PAGE_TOOLS := tests/web/node_modules

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long test-fast bench bench-error coverage lint lint-page format docs notebooks release-check clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## make the virtual environment .venv and install brule into it, for development

demo: $(STAMP) ## train on synthetic faces without labels, look at the result: demo-run/ (about 5 minutes on two cores)
	$(BIN)/brule demo -o demo-run

test: $(STAMP) ## run all tests but those that take minutes each
	$(PYTEST) -m "not long"

test-long: $(STAMP) ## run every test; benchmarks/README.md has the last figures
	$(PYTEST)

test-fast: $(STAMP) ## run the tests that aren't marked slow
	$(PYTEST) -m "not slow and not long"

bench: $(STAMP) ## time every part of the library on this machine: bench.json (about 10 minutes; see docs/bench.md)
	$(BIN)/python -m benchmarks -o bench.json

bench-error: $(STAMP) ## the error after 1, 3 and 10 minutes of training, on drawn faces: curves/ (see docs/bench.md)
	$(BIN)/python -m benchmarks.learning_curve curves

coverage: $(STAMP) ## run the tests and show which share of the code they reach
	$(PYTEST) -m "not long" --cov --cov-report=term

lint: $(STAMP) ## check style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@$(MAKE) --no-print-directory lint-page

lint-page: ## check the types of the annotation page's modules, where node is
	@if command -v npm >/dev/null && [ ! -x $(PAGE_TOOLS)/typescript/bin/tsc ]; then \
	    npm --prefix tests/web install --silent --no-audit --no-fund --no-package-lock || true; fi
	@if command -v node >/dev/null && [ -f $(PAGE_TOOLS)/typescript/bin/tsc ]; then \
	    echo "tsc -p tests/web/jsconfig.json"; node $(PAGE_TOOLS)/typescript/bin/tsc -p tests/web/jsconfig.json; \
	    else echo "The types of the page's modules weren't checked: node or TypeScript (npm) is missing."; fi

format: $(STAMP) ## mend style and formatting where that can be done automatically
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.stamp-docs ## build the documentation's site, strictly: site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

notebooks: $(VENV)/.stamp-notebooks ## execute the notebooks, from the first cell to the last
	$(PYTEST) -n 0 tests/test_notebooks.py

release-check: $(VENV)/.stamp-release ## build both archives; install the wheel without the checkout, and use it there
	$(BIN)/python tools/release_check.py

clean: ## remove caches, builds and the demo's run; .venv stays
	rm -rf build dist site demo-run curves .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests -type d -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	    echo "brule needs Python 3.10 or newer, and \"$(PYTHON)\" isn't one. Name another: make PYTHON=python3.12 …" >&2; \
	    exit 1; }
	@echo "Making the virtual environment $(VENV)"
ifneq ($(UV),)
	@"$(UV)" venv --quiet --python "$$(command -v $(PYTHON))" $(VENV)
else
	@$(PYTHON) -m venv $(VENV) || { \
	    rm -rf $(VENV); \
	    echo "\"$(PYTHON) -m venv $(VENV)\" failed (its own words are above)." >&2; \
	    echo "On Debian and Ubuntu the module is a package of its own: apt-get install python3-venv." >&2; \
	    echo "Otherwise name another interpreter, make PYTHON=python3.12 …, or install uv, which needs no venv module." >&2; \
	    exit 1; }
endif

# The interpreter is order-only: it is a link to a file whose date says nothing about this environment.
$(STAMP): pyproject.toml constraints-cpu.txt | $(BIN)/python
	@rm -f $@ # an installation that breaks off must not look like a finished one
ifeq ($(UV),)
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip
endif
ifneq ($(REMEMBERED),)
ifneq ($(TORCH),$(REMEMBERED))
	@$(UNINSTALL) torch
endif
endif
	@echo "Installing $(TORCH_REQUIREMENT) ($(TORCH)); on a fresh machine this takes a minute or two"
	@$(INSTALL) $(CONSTRAINTS) "$(TORCH_REQUIREMENT)"
	@echo "Installing brule with everything its tests need"
	@$(INSTALL) $(CONSTRAINTS) -e ".[dev]"
	@echo $(TORCH) > $(VENV)/.torch
	@touch $@

# Tools that `make test` doesn't need come with an extra each.
$(VENV)/.stamp-%: pyproject.toml | $(STAMP)
	@$(INSTALL) $(CONSTRAINTS) -e ".[$*]"
	@touch $@
