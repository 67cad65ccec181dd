"""Move a bot's hashes to the schema's own keys, once: its collectors may then write plain JSON.

    python examples/migrate_hashes.py sections.toml redis://127.0.0.1:6379/0

`llmctx adopt` proposes the file. What cannot be read is left where it is and named; the hashes themselves stay. A bot
that goes on writing hashes needs no migration: copy the same text into llmctx.toml instead.
"""

import asyncio
import sys
import tomllib
from pathlib import Path

from redis.asyncio import Redis

from llmctx.connection import open_redis
from llmctx.context.section_values import read_values
from llmctx.schema.keys import BY_SECTION
from llmctx.schema.mapping.rule import SectionRule
from llmctx.schema.mapping.sections import Sections


async def migrate(redis: Redis, sections: Sections) -> None:
    """Write every value of a mapped section under the schema's key, with the schema's lifetime."""
    for name in sections.rules.keys() & BY_SECTION.keys():
        family = BY_SECTION[name]
        async for found in read_values(redis, name, sections):
            content = found.content(sections)
            if content.value is None:
                print(f"left out: {found.raw.key}: {content.reason}")
                continue
            key = family.key(found.symbol, found.section.partition(".")[2])
            await redis.set(key, content.value.model_dump_json(), ex=family.lifetime_s, nx=True)
            print(f"{found.raw.key} -> {key}")


async def main(text: str, url: str) -> None:
    """Read the mapping, then migrate."""
    rules = tomllib.loads(text)["sections"]
    async with open_redis(url) as redis:
        await migrate(redis, Sections({name: SectionRule.model_validate(rule) for name, rule in rules.items()}))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]).read_text(encoding="utf-8"), sys.argv[2]))
