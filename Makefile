# Everything runs from .venv, which the first target you call makes; python3 >= 3.11 is all it needs.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check bench chaos release-line clean
.DEFAULT_GOAL := demo

demo: .venv/installed
	@$(BIN)/llmctx demo

test: .venv/installed
	@$(BIN)/pytest -q

check: .venv/installed
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/pytest -q tests/test_floors.py

chaos: .venv/installed
	@$(BIN)/pytest -q -s -m chaos tests/faults

bench: .venv/installed
	@$(BIN)/python -m benchmarks

# The line to add to RELEASED in llmctx/version.py when this version is released.
release-line: .venv/installed
	@$(BIN)/python -c 'from llmctx.rules import VERSION, source_digest; print(f"    \"{VERSION}\": (\"{source_digest()}\",),")'

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "llmctx needs python3 >= 3.11; name one with 'make PYTHON=/path/to/python3 ...'" >&2; exit 1; }
	@echo "Setting up .venv (once) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf .venv var dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
