r"""llmctx: puts a trading system's live Redis state before an LLM, and keeps a provable record of every decision.

    tick -> snapshot -> package -> prompt -> completion -> decision -> verdict -> trail -> published
                                                                            \-> verify, replay, compare, archive

Each step is a value in a folder of that name: `context` what we knew, `prompt` what we asked, `llm` what it
answered, `decision` what we concluded, `trail` what we can prove. `pipeline` is one tick through all of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from llmctx import version

if TYPE_CHECKING:
    from llmctx.context.package import Package, build_package
    from llmctx.context.reader import read_snapshot
    from llmctx.context.snapshot import Snapshot
    from llmctx.context.tick import Tick
    from llmctx.decision.decision import Decision
    from llmctx.decision.guards import Verdict
    from llmctx.errors import LlmctxError
    from llmctx.llm.completion import Completion
    from llmctx.pipeline import Pipeline
    from llmctx.prompt.render import Prompt
    from llmctx.prompt.template import load_template
    from llmctx.trail.log.entry import Entry
    from llmctx.worker.session import open_pipeline

__version__ = version.VERSION

_HOMES = {
    "Completion": "llmctx.llm.completion",
    "Decision": "llmctx.decision.decision",
    "Entry": "llmctx.trail.log.entry",
    "LlmctxError": "llmctx.errors",
    "Package": "llmctx.context.package",
    "Pipeline": "llmctx.pipeline",
    "Prompt": "llmctx.prompt.render",
    "Snapshot": "llmctx.context.snapshot",
    "Tick": "llmctx.context.tick",
    "Verdict": "llmctx.decision.guards",
    "build_package": "llmctx.context.package",
    "load_template": "llmctx.prompt.template",
    "open_pipeline": "llmctx.worker.session",
    "read_snapshot": "llmctx.context.reader",
}

__all__ = [
    "Completion",
    "Decision",
    "Entry",
    "LlmctxError",
    "Package",
    "Pipeline",
    "Prompt",
    "Snapshot",
    "Tick",
    "Verdict",
    "__version__",
    "build_package",
    "load_template",
    "open_pipeline",
    "read_snapshot",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used: `import llmctx` alone costs nothing."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'llmctx' has no attribute {name!r}")
