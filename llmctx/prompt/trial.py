"""The process in which a template is tried (`prompt/check`): limited, it compiles the template and renders a sample."""

import math
import resource
import sys
from typing import Any

from jinja2.exceptions import SecurityError

from llmctx.errors import OutputSizeError, TemplateError
from llmctx.prompt.check import MAX_CPU_S, MAX_MEMORY_MB, MEMORY, OUTPUT
from llmctx.prompt.render import MAX_CHARACTERS, SectionView, render_part
from llmctx.prompt.sandbox import StepsError
from llmctx.prompt.template import Template
from llmctx.schema.keys import SIGNAL_TYPES, section_keys

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
        template = Template(job["ref"], job["sources"])
        for part in template.parts:
            render_part(part, _sample(), template)
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


def _sample() -> dict[str, Any]:
    """What a template sees, in sizes as they occur."""
    text = "\n".join([_LINE] * (_SECTION_CHARACTERS // len(_LINE)))
    sections = [
        SectionView(name, key, "fresh", "1.0 s", "", text, f"{name}: fresh, 1.0 s old", text)
        for name, key in section_keys("AAPL", SIGNAL_TYPES, 0).items()
    ]
    sections[-1] = sections[-1]._replace(status="missing", age="", text="", body="Nobody has written it.")
    return {
        "symbol": "AAPL",
        "as_of": "2025-05-09T10:15:30.123Z",
        "clock": "server",
        "sections": sections,
        "field": lambda path: f"150.25{path[:0]}",
    }
