"""What users import: every public name exists, is documented, and nothing else is promised."""

import inspect
import subprocess
import sys

import pytest

import llmctx

NAMES = [name for name in llmctx.__all__ if not name.startswith("__")]


def test_the_public_names_are_these() -> None:
    assert NAMES == [
        "Client", "Completion", "Decision", "DecisionConfig", "EndpointClient", "Entry", "LlmctxError", "Package",
        "Pipeline", "Prompt", "ServeOptions", "Snapshot", "Tick", "Verdict", "build_package", "load_template",
        "open_client", "open_home", "open_pipeline", "open_writer", "read_snapshot", "run_backtest", "serve",
    ]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_loads_and_is_documented(name: str) -> None:
    assert inspect.getdoc(getattr(llmctx, name))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        llmctx.no_such_name  # noqa: B018


def test_importing_llmctx_loads_neither_redis_nor_openai() -> None:
    script = "import sys, llmctx; print('redis' in sys.modules, 'openai' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_help_does_not_load_openai() -> None:
    script = (
        "import sys\nsys.argv = ['llmctx', '--help']\nfrom llmctx.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    print('openai' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
