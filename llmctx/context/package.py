"""The package: the typed join of a snapshot, each section with its age and status.

It is a pure function of the snapshot: no clock, no server, no settings. Unusable data invalidates only its own
section, with the reason. Without a usable position and price there is nothing to decide, and no call is made.
"""

from datetime import datetime, timedelta
from functools import cached_property

from pydantic import BaseModel, ConfigDict

from llmctx import clock
from llmctx.context.content import REQUIRED, SectionContent, read_content
from llmctx.context.corporate_action import overnight_move
from llmctx.context.facts import Fact
from llmctx.context.section import Section
from llmctx.context.snapshot import RawSection, Snapshot
from llmctx.context.staleness import Status, age_of
from llmctx.schema import values

_OTHER_CLOCK = {
    "bars": 'it says "clock": "bars", but this trail has the server\'s clock; feed recorded data to another server or '
    "database, or live data with --live",
    "server": 'it does not say "clock": "bars", but this trail has the clock of its bars; run a live system on another '
    "server or database",
}
"""What is wrong with a system:state of one clock on a trail with the other one, and what to do."""


class Package(BaseModel):
    """Everything known about one position at one time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbol: str
    """The symbol."""
    as_of_ms: int
    """The time of the package, in milliseconds."""
    clock: str
    """Whose clock that is: server, or bars (recorded data)."""
    sections: dict[str, Section]
    """Section name to section, in the order in which a prompt shows them."""

    @cached_property
    def contents(self) -> dict[str, SectionContent]:
        """The content of each section that has a value."""
        return {
            name: SectionContent(name, section.value)
            for name, section in self.sections.items()
            if section.value is not None
        }

    @cached_property
    def facts(self) -> dict[str, list[Fact]]:
        """The facts of each section: the prompt shows them, and an answer is checked against them."""
        contents = self.contents
        return {name: contents[name].facts if name in contents else [] for name in self.sections}

    @property
    def position(self) -> values.Position:
        """The position; check `refusal` first."""
        value = self.sections["position"].value
        assert isinstance(value, values.Position)
        return value

    @property
    def price(self) -> values.Price:
        """The price; check `refusal` first."""
        value = self.sections["price"].value
        assert isinstance(value, values.Price)
        return value

    @property
    def refusal(self) -> str | None:
        """Why no decision is possible; None if one is."""
        for name in REQUIRED:
            section = self.sections[name]
            if section.value is None:
                return f"{name} is {section.status}: {section.reason}"
        return None


def build_package(snapshot: Snapshot) -> Package:
    """Build the package of a snapshot."""
    # a collector's clock may run a little ahead of the server's; recorded data has one clock only
    skew_ms = snapshot.rules.skew_ms if snapshot.clock == "server" else 0
    # as_of is cut to milliseconds: what was written within its last one is not later
    latest = clock.from_ms(snapshot.as_of_ms + skew_ms) + timedelta(microseconds=999)
    contents = {
        name: read_content(name, raw.raw)
        for name, raw in snapshot.sections.items()
        if raw.raw is not None and raw.unread is None
    }
    sections = {
        name: _section(raw, contents.get(name), snapshot, latest, name) for name, raw in snapshot.sections.items()
    }
    _check_identity(sections, snapshot.symbol)
    _check_clock(sections, snapshot.rules.clock)
    _check_corporate_action(sections)
    _check_thesis(sections)
    package = Package.model_construct(
        symbol=snapshot.symbol, as_of_ms=snapshot.as_of_ms, clock=snapshot.clock, sections=sections
    )
    # The property would read these contents again.
    package.__dict__["contents"] = {
        name: contents[name] for name, section in sections.items() if section.value is not None
    }
    return package


def _section(
    raw: RawSection, content: SectionContent | None, snapshot: Snapshot, latest: datetime, name: str
) -> Section:
    if raw.unread is not None:
        return _invalid(name, raw.key, raw.unread)
    if content is None:
        return Section(name=name, key=raw.key, status=Status.MISSING, reason=f"{raw.key}: no such key")
    if content.status is not None:
        return Section(name=name, key=raw.key, status=content.status, reason=f"{raw.key}: {content.reason}")
    if (future := content.future_moment(latest)) is not None:
        return _invalid(name, raw.key, f"{future} lies after the time of the package, {clock.iso(snapshot.as_of_ms)}")
    age_ms, status = age_of(content.written_ms, name, snapshot.as_of_ms, snapshot.rules)
    return Section(name, raw.key, status, age_ms, None, content.value)


def _invalid(name: str, key: str, why: str) -> Section:
    return Section(name=name, key=key, status=Status.INVALID, reason=f"{key}: {why}")


def _empty(name: str, key: str, why: str) -> Section:
    return Section(name=name, key=key, status=Status.EMPTY, reason=f"{key}: {why}")


def _check_identity(sections: dict[str, Section], symbol: str) -> None:
    position = sections["position"]
    if isinstance(position.value, values.Position) and position.value.symbol != symbol:
        sections["position"] = _invalid(
            "position", position.key, f"symbol is {position.value.symbol!r}, expected {symbol!r}"
        )


def _check_clock(sections: dict[str, Section], trail_clock: str | None) -> None:
    """Invalidate a system:state that says another clock than the trail's."""
    system = sections["system"]
    if trail_clock is None or not isinstance(system.value, values.System):
        return
    stated = "bars" if (system.value.model_extra or {}).get("clock") == "bars" else "server"
    if stated != trail_clock:
        sections["system"] = _invalid("system", system.key, _OTHER_CLOCK[stated])


def _check_corporate_action(sections: dict[str, Section]) -> None:
    """Invalidate the price if the position was last marked before a suspected split."""
    position, price = sections["position"].value, sections["price"].value
    if not isinstance(position, values.Position) or not isinstance(price, values.Price):
        return
    move = overnight_move(position.current_price, position.last_update, price.price.last, price.timestamp)
    if move is not None:
        marked = clock.iso_of(position.last_update)
        sections["price"] = _invalid(
            "price",
            sections["price"].key,
            f"suspected corporate action: price.last {price.price.last} is {move:+.1%} from the position's "
            f"current_price {position.current_price}, marked at {marked}; rewrite {sections['position'].key} in "
            f"today's shares, or feed with --adjust {position.symbol}=RATIO",
        )


def _check_thesis(sections: dict[str, Section]) -> None:
    """Empty the thesis unless it is about the present position."""
    thesis, position = sections["thesis"], sections["position"].value
    if not isinstance(thesis.value, values.Thesis):
        return
    # published theses carry milliseconds, positions may carry more
    if not isinstance(position, values.Position) or clock.to_ms(thesis.value.entry_time) != clock.to_ms(
        position.entry_time
    ):
        sections["thesis"] = _empty("thesis", thesis.key, "the last decision was on another position")
