# `make demo` and `make test` need nothing but Python 3.11 or newer with pip and venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUNS ?= runs

.PHONY: demo test test-fast lint docs browser clean

demo: $(VENV)/.installed
	rm -rf $(RUNS)/demo $(RUNS)/demo-fedavg $(RUNS)/demo-control $(RUNS)/demo.html
	$(BIN)/demjax run --algorithm demlearn --model mlp --rounds 60 --eval-every 2 --out $(RUNS)/demo
	$(BIN)/demjax run --algorithm fedavg --model mlp --rounds 60 --eval-every 2 --out $(RUNS)/demo-fedavg
	$(BIN)/demjax run --algorithm fedavg --mix 0.6 --model mlp --rounds 60 --eval-every 2 --out $(RUNS)/demo-control
	@echo
	@$(BIN)/demjax compare $(RUNS)/demo $(RUNS)/demo-fedavg $(RUNS)/demo-control
	@echo "demo: DemLearn. demo-fedavg: FedAvg, clients measured before averaging."
	@echo "demo-control: FedAvg whose clients are set to 0.4 of their own model and 0.6 of the global one."
	@$(BIN)/demjax report $(RUNS)/demo $(RUNS)/demo-fedavg $(RUNS)/demo-control --out $(RUNS)/demo.html

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

# What compiles little: the registry, options, data, run folders, words.
FAST := tests/registry tests/data/partitions tests/data/transforms tests/experiment/test_config.py \
  tests/experiment/test_validation.py tests/runs tests/test_base.py tests/test_imports.py \
  tests/test_keys.py tests/test_pytrees.py tests/models/test_winograd.py tests/plots/test_settings.py

test-fast: $(VENV)/.installed-test
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal $(FAST)

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir build/site
	@echo "build/site/index.html"

# Only tests/test_report_browser.py needs one, and skips without.
browser:
	@for name in chromium chromium-browser google-chrome google-chrome-stable chrome; do \
	  if command -v $$name; then exit 0; fi; done; \
	if command -v apt-get >/dev/null; then \
	  sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  $$sudo apt-get update && $$sudo apt-get install --yes --no-install-recommends chromium; \
	else echo "There is no apt-get here; install Chromium or Chrome by hand." >&2; exit 1; fi

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "demjax needs Python 3.11 or newer.")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml Makefile | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[plots]'
	touch $@

$(VENV)/.installed-test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[docs,plots]'
	touch $@ $(VENV)/.installed
