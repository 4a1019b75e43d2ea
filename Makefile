# Every target sets up what it needs: a virtual environment in .venv, and the extras in it.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PYTEST = OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

.DEFAULT_GOAL := help
.PHONY: help train test processes lint check slow docs afternoon bench studies clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

train: $(VENV)/.plot ## Train the tutorial's network on the embedded digits
	$(BIN)/layerkit train experiments/digits.toml

test: $(VENV)/.dev ## Run the tests and the examples of the documentation
	$(PYTEST)

processes: $(VENV)/.dev ## Run the tests that start processes, or open pages in Chromium
	$(PYTEST) --dist loadgroup -m '(processes or browser) and not slow' tests

lint: $(VENV)/.dev ## Check format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint test processes ## All that a change has to pass

slow: $(VENV)/.dev ## Run the slow tests: full trainings on MNIST
	$(PYTEST) -m slow tests

docs: $(VENV)/.docs ## Build the documentation, and print where it is
	rm -rf docs/api docs/api.md docs/examples docs/_generated
	$(BIN)/python -m sphinx -j auto -E -W --keep-going -q -b html docs docs/_build/html
	@echo "file://$(CURDIR)/docs/_build/html/index.html"

afternoon: $(VENV)/.dev ## Count the lines of docs/afternoon.md anew
	$(BIN)/python docs/generate/afternoon.py

bench: $(VENV)/.bench ## Compare the speed with PyTorch, JAX and scikit-learn
	$(BIN)/python experiments/speed.py
	$(BIN)/python experiments/estimators.py

studies: $(VENV)/.plot ## Test what the tutorial claims, on MNIST: 20 minutes on two free cores
	$(BIN)/python experiments/studies/page.py

clean: ## Remove the environment and everything built
	rm -rf $(VENV) docs/_build docs/_generated docs/api docs/api.md docs/examples .mypy_cache .pytest_cache .ruff_cache

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.bench: | $(VENV)/.torch

# its build for CPUs is a tenth as large; uv knows where it is
$(VENV)/.torch: | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --torch-backend cpu torch \
		|| echo "PyTorch's build for CPUs can't be had: the usual one is taken"
	@touch $@

$(VENV)/.%: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	@touch $@
