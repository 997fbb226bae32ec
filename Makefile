# `make run` and `make test` are all that a newcomer needs; CONTRIBUTING.md explains the rest.

PYTHON ?= python3
# A plain `torch` brings gigabytes of CUDA on Linux. For a CPU build elsewhere, see "Install" in README.md.
TORCH  ?= torch==2.13.0
ARGS   ?=

VENV := .venv
NATIVE := setup.py $(wildcard chatglm_slim_llm/kernels/native/*)
BIN  := $(VENV)/bin

.PHONY: run setup test test-long test-slow sanitize check lint types contracts fmt dist smoke bench docs train clean

run: $(VENV)/.installed
	@$(BIN)/chatglm-tui $(ARGS)

setup: $(VENV)/.installed-dev

# Four processes, as tests also wait, and a file in one of them: what a file's tests share is made once.
# They start hundreds of programs, each of which would be compiled anew where compiled files are not kept.
TESTS = env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -n 4 --dist loadfile

test: $(VENV)/.installed-dev
	@$(TESTS) $(ARGS)

test-long: $(VENV)/.installed-dev
	@$(TESTS) -m 'long and not slow and not gpu and not weights and not bench' $(ARGS)

test-slow: $(VENV)/.installed-dev
	@$(BIN)/python -m pytest -m slow --timeout=3600 $(ARGS)

# The kernels' own tests on a library that stops at the first access out of bounds or undefined operation.
SANITIZED := build/sanitized
sanitize: $(VENV)/.installed-dev
	@CHATGLM_SANITIZE=1 $(BIN)/python setup.py -q build_ext --build-lib $(SANITIZED) --build-temp $(SANITIZED)
	@LD_PRELOAD="$$(c++ -print-file-name=libasan.so) $$(c++ -print-file-name=libubsan.so)" ASAN_OPTIONS=detect_leaks=0 \
	  CHATGLM_SLIM_KERNELS=$$(ls $(CURDIR)/$(SANITIZED)/chatglm_slim_llm/kernels/_native*.so) \
	  $(BIN)/python -m pytest --timeout=1800 $(wildcard tests/unit/test_native_*.py) --deselect tests/unit/test_native_library.py $(ARGS)

check: lint types contracts test test-long

lint: $(VENV)/.installed-dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types: $(VENV)/.installed-dev
	@$(BIN)/mypy

contracts: $(VENV)/.installed-dev
	@$(BIN)/lint-imports

fmt: $(VENV)/.installed-dev
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# Wheel, sdist, bill of materials and checksums of the last commit; ARGS=--head where there are later changes.
dist: $(VENV)/.installed-dev
	@$(BIN)/python -m release.build $(ARGS)

# The wheel in an empty environment: commands, terminal, plugin, llm, MCP, types.
smoke: dist
	@$(BIN)/python -m release.smoke --torch "$(TORCH)" dist/*.whl

bench: $(VENV)/.installed-dev
	@$(BIN)/python -m benchmarks.memory $(ARGS)

# The site, in site/; a warning is an error, and the notice of the theme's maker says nothing of the pages.
docs: $(VENV)/.installed-dev
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet $(ARGS)

train: $(VENV)/.installed-dev
	@$(BIN)/python -m training.train $(ARGS)

clean:
	rm -rf $(VENV) build dist site *.egg-info chatglm_slim_llm/kernels/_native*

$(VENV)/.torch:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is %s; choose another with: make PYTHON=python3.12" % sys.version.split()[0])'
	@echo "Setting up $(VENV): a few minutes, once"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check $(TORCH)
	@touch $@

$(VENV)/.installed: pyproject.toml $(NATIVE) | $(VENV)/.torch
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml $(NATIVE) | $(VENV)/.torch
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(VENV)/.installed $@
