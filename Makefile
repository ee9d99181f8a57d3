# make quickstart | test | parity | docs | clean | help. Each prepares .venv itself, with the versions constraints.txt pins.
PYTHONS := python3.11 python3.12 python3.13 python3
SUITABLE := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in $(PYTHONS); do $$python -c '$(SUITABLE)' 2>/dev/null && echo $$python && break; done)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help quickstart test parity docs clean
.DELETE_ON_ERROR:

help:  ## list the commands
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1	\2/p' $(MAKEFILE_LIST)

quickstart: $(VENV)/.installed-quickstart  ## train four networks on the ten digits, write runs/quickstart/report.html
	$(BIN)/python -m experiments.compare --workdir runs/quickstart

test: $(VENV)/.installed-dev  ## style, types and tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/pytest -n 2

parity: $(VENV)/.installed-dev $(VENV)/.installed-parity  ## compare with torch, torchvision and timm (installs about 2 GB)
	$(BIN)/pytest -n 2 -m parity

docs: $(VENV)/.installed-docs  ## build the site of docs/, with the course and the reference, into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:  ## remove the environment, runs and caches
	rm -rf $(VENV) runs dist site .pytest_cache .ruff_cache .hypothesis
	find convzoo experiments configs tests -name __pycache__ -prune -exec rm -rf {} +

# One stamp per set of extras: .installed-quickstart, .installed-dev, .installed-parity, .installed-docs.
$(VENV)/.installed-%: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[$*]"
	@touch $@

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "convzoo needs Python 3.11 or later with venv; none of $(PYTHONS) is" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
