# Each target sets up what it needs: `make demo` and `make test` work in a fresh clone with Python 3.11 or newer.
PY := .venv/bin/python
PART ?=
DATA ?= $(JRS_DATA)
ARGS ?=
# A process for each core, at most four, and the tests of a file in one of them: they share what it set up.
SHARED := --numprocesses=logical --maxprocesses=4 --dist=loadfile
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help env demo test test-older-slicer bench lint

help:
	@echo "make env    build .venv from requirements-test.lock (PYTHON=... chooses the interpreter)"
	@echo "make demo   register a generated sample pair and write demo-output/ with its picture"
	@echo "make test   run the tests (ARGS=... goes to pytest)"
	@echo "make test-older-slicer   run those of the scene on an older slicer-core"
	@echo "make lint   ruff, mypy and the import rules"
	@echo "make bench  list the benchmark's parts and run the short one; PART=name DATA=folder runs one"

env:
	@.ci/environment

demo: env
	@$(PY) -m JointRegSegLib.demo --output demo-output $(ARGS)

test: env
	@$(PY) -m pytest $(SHARED) $(ARGS)

test-older-slicer: env
	@.ci/older-slicer -m mrml $(ARGS)

bench: env
	@$(PY) -m Testing.benchmarks --part "$(PART)" --data "$(DATA)" $(ARGS)

lint: env
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports
