# Everything a newcomer types. `make` alone lists it.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.installed

RESOLVE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"
# What the images install: parts of the lock, at its versions.
SUBSET := $(RESOLVE) --no-annotate --constraint requirements/lock.txt

.DEFAULT_GOAL := help
.PHONY: help install demo test lint format up bench storm mutations docs lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(READY) ## Make .venv and install imgq with everything it can use

demo: $(READY) ## Label six real photos on a local stack, from nothing to results
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh demo/run.sh

test: lint ## Lint, types, import contracts and the whole test suite
	$(BIN)/python -m pytest -q --numprocesses 2 --dist loadfile

lint: $(READY) ## Style, types and the walls between the rooms
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## Rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

up: $(READY) ## Start the local stack; Ctrl-C stops it
	$(BIN)/imgq up

bench: $(READY) ## Hold imgq against the machine's limit and against others (25 minutes)
	$(BIN)/python -m bench --write docs/benchmarks.md

storm: $(READY) ## Break a whole installation at random, and count: make storm SEED=7 N=2000
	$(BIN)/python -m tests.faults.storm --seed $(or $(SEED),1) --faults $(or $(N),200)

mutations: $(READY) ## Take away what imgq rests on, piece by piece; its tests must miss it (15 minutes)
	$(BIN)/python -m tests.faults.mutations

docs: $(READY) ## Write the generated references again
	$(BIN)/python -m imgq_cli.reference > docs/cli.md
	$(BIN)/python -m imgq_api openapi > docs/openapi.json
	$(BIN)/python -m imgq_db.reference > docs/settings.md
	$(BIN)/python -m imgq_trainer.training.reference docs/training.md api/imgq_api/knobs.json

lock: $(READY) ## Resolve every dependency again, for all platforms
	$(BIN)/python -m pip install --quiet uv
	$(RESOLVE) --all-extras --upgrade -o requirements/lock.txt pyproject.toml
	$(SUBSET) --extra parquet -o requirements/api.txt pyproject.toml
	$(SUBSET) --extra worker --extra cpu -o requirements/worker.txt pyproject.toml
	echo hatchling | $(SUBSET) -o requirements/build.txt -

clean: ## Remove .venv, caches and the demo's home
	rm -rf $(VENV) .demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(READY): pyproject.toml requirements/lock.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	    echo "imgq needs Python 3.11, 3.12 or 3.13; $(PYTHON) is `$(PYTHON) -V 2>&1`."; \
	    echo "Try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	    echo "$(PYTHON) cannot make a virtual environment."; \
	    echo "Try: apt install python3-venv"; exit 1; }
	@echo "Installing into $(VENV). torch is large: the first time takes some minutes."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	    -r requirements/lock.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
	    --no-build-isolation -e .
	@touch $@
