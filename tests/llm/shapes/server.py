"""The server that plays the shapes: each at a path of its own."""

from tests.llm.shapes import SHAPES
from tests.unit.llm.wire import Answer, Wire, response


class ShapeServer(Wire):
    """Plays every shape; the count of requests begins anew with each server."""

    def __init__(self) -> None:
        super().__init__()
        self._left = {name: list(shape.answers) for name, shape in SHAPES.items()}

    def url_of(self, name: str) -> str:
        """The base URL at which a shape is played."""
        return f"http://127.0.0.1:{self.port}/{name}/v1"

    def _next(self, line: str) -> Answer:
        left = self._left.get(line.partition("/")[2].partition("/")[0])
        if left is None:
            return Answer(response(b"there is no such shape", "404 Not Found"))
        return left.pop(0) if len(left) > 1 else left[0]
