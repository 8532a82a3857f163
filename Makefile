# Every target makes what it needs: the first one called builds .venv from constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
DOCS := .venv/.docs
# A process for each processor, at most four.  One that dies is replaced: its test has failed, and the others go on.
# (Not worksteal: a test that is stolen from a process which has just died ends the whole run.)
WORKERS := -n logical --maxprocesses 4 --dist load
# What one process compiles the next one reads: many tests start a fresh one.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test deep portable coverage gpu lint types proofs checker notebooks docs bench clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | awk -F'|' '{printf "make %-10s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,dev,notebooks]'
	@touch $@

$(DOCS): $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	@touch $@

demo: $(STAMP)  ## train a linear ResNet34, collapse it, certify it, time it (writes demo/)
	$(BIN)/algebraic-cnn demo

test: $(STAMP)  ## the tests, with the examples of docstrings and README
	$(BIN)/python -m pytest $(WORKERS)

deep: $(STAMP)  ## the property tests on many more examples (long)
	HYPOTHESIS_PROFILE=deep $(BIN)/python -m pytest $(WORKERS) tests --ignore tests/properties
	$(BIN)/python -m tests.properties.deep deep.jsonl

portable: $(STAMP)  ## the core of the suite as on other processors: shorter vectors, more threads
	HYPOTHESIS_PROFILE=deep $(BIN)/python -m pytest tests/test_processors.py

coverage: $(STAMP)  ## the tests again, with the branches they miss
	$(BIN)/python -m pytest $(WORKERS) --cov --cov-report=term-missing

lint: $(STAMP)  ## ruff
	$(BIN)/ruff check

types: $(STAMP)  ## pyright
	$(BIN)/pyright

proofs: $(STAMP)  ## run every proof, machine-checked ones included (these need coqc)
	$(BIN)/python -m proofs
	proofs/rocq/check.sh

checker:  ## build the checker of certificates from its proof (needs coq, ocaml, zarith): build/checker/acnn-recheck
	proofs/rocq/checker/build.sh build/checker/acnn-recheck

notebooks: $(STAMP)  ## run every notebook and export it, with its outputs, as .ipynb and as a page that opens offline, to build/notebooks
	@mkdir -p build/notebooks
	@set -e; for notebook in notebooks/[0-9]*.py; do \
	  echo $$notebook; \
	  name=build/notebooks/$$(basename $$notebook .py); \
	  $(BIN)/marimo export ipynb --force --sort top-down --include-outputs $$notebook -o $$name.ipynb; \
	  $(BIN)/python notebooks/jupyter.py $$name.ipynb; \
	  $(BIN)/python notebooks/pages.py $$name.ipynb; \
	done

docs: $(DOCS)  ## build the documentation into build/docs; a warning is an error
	$(BIN)/sphinx-build -q -W --keep-going -b html -d build/doctrees notebooks/docs build/docs
	@echo build/docs/index.html

gpu:  ## what a GPU has to show in eight minutes; needs no package index (PYTHON=...; GPU="--device cpu --small" rehearses)
	$(PYTHON) -m tests.gpu $(GPU)

bench: $(STAMP)  ## speed, as ratios to what one would use instead
	$(BIN)/python -m pytest tests/benchmarks

clean:  ## remove what the other targets made, the environment included
	rm -rf .venv build dist demo .pytest_cache .ruff_cache .hypothesis .benchmarks .coverage htmlcov
