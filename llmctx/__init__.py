r"""llmctx: asks an LLM to decide on a trading system's live Redis state, and keeps a provable record of every decision.

    tick -> snapshot -> package -> prompt -> completion -> decision -> verdict -> trail -> published
                                                                            \-> verify, export, replay, compare

Each step is a value in a folder of that name: `context` what we knew, `prompt` what we asked, `llm` what it
answered, `decision` what we concluded, `trail` what we can prove. `pipeline` is one tick through all of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from llmctx import version

if TYPE_CHECKING:
    from llmctx.backtest import run_backtest
    from llmctx.client import Client, open_client
    from llmctx.context.package import Package, build_package
    from llmctx.context.reader import read_snapshot
    from llmctx.context.snapshot import Snapshot
    from llmctx.context.tick import Tick
    from llmctx.decision.decision import Decision
    from llmctx.decision.verdict import Verdict
    from llmctx.errors import LlmctxError
    from llmctx.flow.writer import open_writer
    from llmctx.llm.client import EndpointClient
    from llmctx.llm.completion import Completion
    from llmctx.pipeline import DecisionConfig, Pipeline
    from llmctx.prompt.render import Prompt
    from llmctx.prompt.template import load_template
    from llmctx.trail.log.entry import Entry
    from llmctx.worker.home import open_home
    from llmctx.worker.partition import open_pipeline
    from llmctx.worker.serve import ServeOptions, serve

__version__ = version.VERSION

_HOMES = {
    "Client": "llmctx.client",
    "Completion": "llmctx.llm.completion",
    "Decision": "llmctx.decision.decision",
    "DecisionConfig": "llmctx.pipeline",
    "EndpointClient": "llmctx.llm.client",
    "Entry": "llmctx.trail.log.entry",
    "LlmctxError": "llmctx.errors",
    "Package": "llmctx.context.package",
    "Pipeline": "llmctx.pipeline",
    "Prompt": "llmctx.prompt.render",
    "ServeOptions": "llmctx.worker.serve",
    "Snapshot": "llmctx.context.snapshot",
    "Tick": "llmctx.context.tick",
    "Verdict": "llmctx.decision.verdict",
    "build_package": "llmctx.context.package",
    "load_template": "llmctx.prompt.template",
    "open_client": "llmctx.client",
    "open_home": "llmctx.worker.home",
    "open_pipeline": "llmctx.worker.partition",
    "open_writer": "llmctx.flow.writer",
    "read_snapshot": "llmctx.context.reader",
    "run_backtest": "llmctx.backtest",
    "serve": "llmctx.worker.serve",
}

__all__ = [
    "Client", "Completion", "Decision", "DecisionConfig", "EndpointClient", "Entry", "LlmctxError", "Package",
    "Pipeline", "Prompt", "ServeOptions", "Snapshot", "Tick", "Verdict", "__version__", "build_package",
    "load_template", "open_client", "open_home", "open_pipeline", "open_writer", "read_snapshot", "run_backtest",
    "serve",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used: `import llmctx` alone costs nothing."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'llmctx' has no attribute {name!r}")
