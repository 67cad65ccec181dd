"""Checks of the live keys: whether they live as long as they should, and can be read."""

from llmctx.context.section_values import pages_of
from llmctx.ops.doctor.finding import Finding, amber, green, red
from llmctx.ops.doctor.subject import Subject
from llmctx.ops.keyspace import count_families
from llmctx.schema.keys import BY_SECTION, FAMILIES, Family
from llmctx.schema.mapping.sections import Sections


async def lifetimes(subject: Subject) -> Finding:
    """Whether keys that must stay have no TTL, and keys that should expire have one."""
    expiring: list[str] = []
    lasting: list[str] = []
    for family in _families(subject.places.sections):
        async for page in pages_of(subject.redis, family.key("*", "*")):
            async with subject.redis.pipeline(transaction=False) as reading:
                for key in page:
                    reading.pttl(key)
                ttls = dict(zip(page, await reading.execute(), strict=True))
            if family.lifetime_s is None:
                expiring += [key.decode(errors="replace") for key, ttl in ttls.items() if ttl >= 0]
            else:
                lasting += [key.decode(errors="replace") for key, ttl in ttls.items() if ttl == -1]
    if expiring:
        return red(
            f"{len(expiring)} positions or their monitoring have a TTL: {', '.join(expiring[:3])}",
            "When it ends, or when memory is full, nothing watches these positions any more.",
            "Run `redis-cli PERSIST KEY` for each, and find out what set it.",
        )
    if lasting:
        return amber(
            f"{len(lasting)} live keys have no TTL: {', '.join(lasting[:3])}",
            "They never expire and are never evicted: memory that the trail cannot have.",
            "Run `llmctx cleanup` daily, or let the collector set a TTL.",
        )
    return green("live keys expire, positions do not")


async def live_values(subject: Subject) -> Finding:
    """Whether the live values have the form of the schema."""
    counts = await count_families(subject.redis, subject.places.sections)
    invalid = sum(count.invalid for count in counts)
    if invalid:
        reason = next(reason for count in counts for reason in count.reasons)
        return amber(
            f"{invalid} are malformed: {reason}",
            "Decisions are made without them; without price or position none is made.",
            "`llmctx keys` names them, `llmctx schema` their form: correct the collector, or the mapping.",
        )
    return green(f"{sum(count.keys for count in counts):,} keys, all well-formed")


def _families(sections: Sections | None) -> list[Family]:
    """The families whose lifetime is a matter of ours: of another system's keys, those that must stay."""
    if sections is None:
        return list(FAMILIES)
    ours = [family for family in sections.families if family.section in BY_SECTION]
    return [family for family in ours if family.lifetime_s is None or not sections.is_mapped(family.section)]
