# The two commands: `make train` and `make test`. Each sets up what it needs, once.
PYTHON ?= python3
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
# When one of these is newer than a stamp in $(VENV), the set-up is done again.
SETTINGS := pyproject.toml constraints.txt
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt

.PHONY: help train dashboard test lint data
.NOTPARALLEL:

help:
	@echo "make train      sets up, gets Fashion-MNIST, trains the default experiment and prints its FID"
	@echo "make dashboard  opens a page with the runs' curves and samples, of this machine alone"
	@echo "make test       sets up with the tools of development, then lint, types and all tests"
	@echo "make lint       ruff and mypy alone"
	@echo "make data       gets the data that the tests need"
	@echo
	@echo "The set-up lies in $(VENV); PYTHON=python3.13 names another Python to make it with."

train: $(VENV)/installed
	$(BIN)/python train.py experiments=quickstart

dashboard: $(VENV)/installed
	$(BIN)/touchstone dashboard

test: lint data
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

lint: $(VENV)/installed-dev
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/python -m mypy

data: $(VENV)/installed-dev
	$(BIN)/python scripts/fetch_data.py data=fashion_mnist

$(VENV)/installed: $(SETTINGS) | $(BIN)/pip
	$(INSTALL) --editable '.[dashboard]'
	@touch $@

$(VENV)/installed-dev: $(SETTINGS) | $(BIN)/pip
	$(INSTALL) --editable '.[dev]'
	@touch $(VENV)/installed $@

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "touchstone needs Python 3.11 or later; $(PYTHON) says: `$(PYTHON) --version 2>&1`" >&2; \
	    echo "Name another one: make $(MAKECMDGOALS) PYTHON=python3.13" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "$(PYTHON) cannot make virtual environments: its modules venv or ensurepip are missing." >&2; \
	    echo "On Debian and Ubuntu they come with: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
