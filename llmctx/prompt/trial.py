"""The process in which a template is tried (`prompt/check`): limited, it compiles the template and renders a sample."""

import math
import resource
import sys
from typing import Any

from jinja2.exceptions import SecurityError

from llmctx.errors import OutputSizeError, TemplateError
from llmctx.prompt.compiled import MAX_CHARACTERS, CompiledTemplate, SectionView
from llmctx.prompt.sandbox import StepsError

MAX_CPU_S = 2
"""CPU time to compile a template and to render the sample."""
MAX_MEMORY_MB = 512
"""Address space of the process that does so, the interpreter included."""

MEMORY, OUTPUT = 10, 11
"""Exit codes of the process: it had not enough memory, or the sample became too long."""

_SECTION_CHARACTERS = 2000
_LINE = "- path.to.a_fact: 150.25 [price]"


def run(job: dict[str, Any]) -> None:
    """Try the template of a job; the exit code says what it exceeds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = math.ceil(used.ru_utime + used.ru_stime) + MAX_CPU_S
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_MB * 1024 * 1024,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        template = CompiledTemplate(job["ref"], job["sources"])
        for part in template.parts:
            template.render_part(part, _sample(job["keys"]))
    except MemoryError:
        sys.exit(MEMORY)
    except OutputSizeError:
        sys.stdout.write(f"renders to more than {MAX_CHARACTERS} characters")
        sys.exit(OUTPUT)
    except TemplateError as error:
        if isinstance(error.__cause__, StepsError):
            sys.stdout.write(str(error.__cause__))
            sys.exit(OUTPUT)
        if isinstance(error.__cause__, SecurityError):
            sys.stdout.write(f"does what no template may: {error.__cause__}".rstrip("."))
            sys.exit(OUTPUT)
    except Exception:  # noqa: BLE001, S110  whoever uses the template meets the same error, with real data
        pass


def _sample(keys: dict[str, str]) -> dict[str, Any]:
    """The values of sections with these keys, in typical sizes."""
    text = "\n".join([_LINE] * (_SECTION_CHARACTERS // len(_LINE)))
    sections = [
        SectionView(name, key, "fresh", "1.0 s", "", text, f"{name}: fresh, 1.0 s old", text)
        for name, key in keys.items()
    ]
    sections[-1] = sections[-1]._replace(status="missing", age="", text="", body="Nobody has written it.")
    return {
        "symbol": "AAPL",
        "as_of": "2025-05-09T10:15:30.123Z",
        "clock": "server",
        "sections": sections,
        "field": lambda path: f"150.25{path[:0]}",
    }
