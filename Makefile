# Everything a user or a contributor runs. Each target sets up what it needs first.
VENV   ?= .venv
PYTHON ?= python3
PORT   ?= 8000
DATA   ?= synthetic
# Of the comparison of accuracy: the folder of data sets, and where its runs are kept.
DATA_ROOT ?= $(or $(HASHREC_DATA),$(HOME)/.cache/hashrec)
RESULTS   ?= runs/accuracy
# Where torch comes from. The CPU index keeps several GB of CUDA packages away; on a machine with a
# GPU the plain package is installed instead.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
TORCH       := torch==2.13.0
HAS_GPU     := $(shell command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >/dev/null 2>&1 && echo yes)
PIP         := $(VENV)/bin/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help setup quickstart check test test-slow coverage docker-test bench fuzz accuracy reproduce up down lock release-check clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.torch: requirements/training.txt | $(VENV)/bin/python
	$(PIP) install --quiet --require-hashes -r requirements/training.txt
	$(PIP) install --quiet --no-deps $(if $(HAS_GPU),,--retries 1 --index-url $(TORCH_INDEX)) $(TORCH)
	@touch $@

$(VENV)/.setup: pyproject.toml $(VENV)/.torch
	$(PIP) install --quiet --no-deps -e .
	@touch $@

$(VENV)/.development: requirements/development.txt $(VENV)/.setup
	$(PIP) install --quiet --require-hashes -r requirements/development.txt
	@touch $@

$(VENV)/.plots: requirements/plots.txt $(VENV)/.setup
	$(PIP) install --quiet --require-hashes -r requirements/plots.txt
	@touch $@

setup: $(VENV)/.setup ## install hashrec for training and serving into .venv

quickstart: setup ## train on DATA, publish, serve on PORT and print a first answer
	$(VENV)/bin/hashrec quickstart --data $(DATA) --port $(PORT)

check: $(VENV)/.development ## format, lint, types and import walls
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/pyright
	$(VENV)/bin/lint-imports

test: check ## run every check and test
	$(VENV)/bin/pytest -n 2 tests

coverage: $(VENV)/.development ## run the tests of `make test` and report the branches that they reach
	$(VENV)/bin/coverage erase
	$(VENV)/bin/coverage run -m pytest -n 2 tests
	$(VENV)/bin/coverage combine --quiet
	$(VENV)/bin/coverage report

test-slow: $(VENV)/.development ## what takes minutes: the lowest versions that pyproject.toml allows
	$(VENV)/bin/pytest -m slow tests

docker-test: $(VENV)/.development ## build the images and try the stack on a Docker engine
	$(VENV)/bin/pytest -s -m docker tests/docker

bench: $(VENV)/.development ## measure every claim of speed and memory; about 10 minutes
	$(VENV)/bin/python -m benchmarks.http
	$(VENV)/bin/python -m benchmarks.search
	$(VENV)/bin/python -m benchmarks.filters
	$(VENV)/bin/python -m benchmarks.serving_scale
	$(VENV)/bin/python -m benchmarks.fold_in
	$(VENV)/bin/python -m benchmarks.batch_recommend
	$(VENV)/bin/python -m benchmarks.reading
	$(VENV)/bin/python -m benchmarks.training

fuzz: $(VENV)/.development ## 10,000 requests generated from the OpenAPI document, and the counts of 100,000
	$(VENV)/bin/python -m benchmarks.fuzz_api
	$(VENV)/bin/python -m benchmarks.count_requests

accuracy: $(VENV)/.plots ## compare every method on the data sets in DATA_ROOT; many hours, resumable
	$(VENV)/bin/python -m benchmarks.accuracy --data-root $(DATA_ROOT) --results $(RESULTS) --write-docs

reproduce: $(VENV)/.plots ## run the paper's experiments on the data sets in DATA_ROOT; hours, resumable
	$(VENV)/bin/hashrec reproduce --data $(DATA_ROOT) --write-docs

LOCK := $(VENV)/bin/uv pip compile --quiet --no-annotate --config-file requirements/uv.toml --universal --generate-hashes --python-version 3.11 --custom-compile-command "make lock" --no-emit-package torch

lock: $(VENV)/.development ## write requirements/*.txt again from pyproject.toml
	$(LOCK) --output-file requirements/serving.txt pyproject.toml
	$(LOCK) --extra training --output-file requirements/training.txt pyproject.toml
	$(LOCK) --extra training --extra excel --extra otel --extra plots --group dev --output-file requirements/development.txt pyproject.toml
	$(LOCK) --extra training --extra plots --constraint requirements/development.txt --output-file requirements/plots.txt pyproject.toml

release-check: $(VENV)/.development ## build the release of HEAD and try its wheel with every Python here
	$(VENV)/bin/python -m release.check --torch-index $(TORCH_INDEX)

up: ## start the whole stack in Docker
	docker compose up --detach --build --wait

down: ## stop the stack; published models and events stay
	docker compose down

clean: ## remove the environment and build leftovers
	rm -rf $(VENV) dist .hashrec .coverage* htmlcov
