"""The shapes in which providers answer, by name, played by a real server: `python -m tests.llm.shapes` keeps it up.

The shapes are written after the providers' own documents, in words of our own. docs/models.md shows the table.
"""

from tests.llm.shapes.answers import ANSWERS
from tests.llm.shapes.documented import DOCUMENTED
from tests.llm.shapes.failures import FAILURES
from tests.llm.shapes.misfits import MISFITS
from tests.llm.shapes.shape import Shape

SHAPES: dict[str, Shape] = {shape.name: shape for shape in (*ANSWERS, *MISFITS, *FAILURES, *DOCUMENTED)}
"""Every shape by its name."""
