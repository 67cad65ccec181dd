"""Keep the server up and print where each shape is played."""

import asyncio

from tests.llm.shapes import SHAPES
from tests.llm.shapes.server import ShapeServer


async def main() -> None:
    """Serve until interrupted."""
    async with ShapeServer() as server:
        for name, shape in SHAPES.items():
            print(f"{server.url_of(name)}  {shape.wanted}: {shape.what}")  # noqa: T201  a program for people
        await asyncio.Event().wait()


asyncio.run(main())
