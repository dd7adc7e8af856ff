# `make demo` and `make test` need nothing but Python 3.11 or newer with pip and venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUNS ?= runs

.PHONY: demo test lint docs clean

demo: $(VENV)/.installed
	rm -rf $(RUNS)/demo $(RUNS)/demo-fedavg $(RUNS)/demo-control
	$(BIN)/demjax run --algorithm demlearn --model mlp --rounds 60 --eval-every 2 --out $(RUNS)/demo
	$(BIN)/demjax run --algorithm fedavg --model mlp --rounds 60 --eval-every 2 --out $(RUNS)/demo-fedavg
	$(BIN)/demjax run --algorithm fedavg --mix 0.6 --model mlp --rounds 60 --eval-every 2 --out $(RUNS)/demo-control
	@echo
	@$(BIN)/demjax compare $(RUNS)/demo $(RUNS)/demo-fedavg $(RUNS)/demo-control
	@echo "demo: DemLearn. demo-fedavg: FedAvg, clients measured before averaging."
	@echo "demo-control: FedAvg whose clients are set to 0.4 of their own model and 0.6 of the global one."

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir build/site
	@echo "build/site/index.html"

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "demjax needs Python 3.11 or newer.")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed-test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@ $(VENV)/.installed
