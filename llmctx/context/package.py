"""The package: the typed join of a snapshot, each section with its age and status.

It is a pure function of the snapshot: no clock, no server, no settings. Unusable data invalidates only its own
section, with the reason. Without a usable position and price there is nothing to decide, and no call is made.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property

from pydantic import BaseModel, ConfigDict

from llmctx import clock
from llmctx.context.content import REQUIRED, SectionContent, with_rank
from llmctx.context.facts import Fact
from llmctx.context.finding import Finding
from llmctx.context.first_seen import age_by_first_seen, first_seen_in, read_contents
from llmctx.context.fitting import fit_memory, fit_portfolio
from llmctx.context.ledger import Ledger
from llmctx.context.marks import Marks
from llmctx.context.plausibility import findings_of_case
from llmctx.context.price_doubt import PriceCase, marks_after, stop_reached
from llmctx.context.read_rules import ReadRules
from llmctx.context.section import Section
from llmctx.context.snapshot import RawSection, Snapshot
from llmctx.context.staleness import Status, age_of
from llmctx.context.value import UNREADABLE
from llmctx.schema import values
from llmctx.schema.symbol import market_of

_ROUNDING = Decimal("1e-9")
"""The relative difference in an entry price that computing it again may cause."""
_OTHER_CLOCK = {
    "bars": 'it says "clock": "bars", but this trail has the server\'s clock; feed recorded data to another server or '
    "database, or live data with --live",
    "server": 'it does not say "clock": "bars", but this trail has the clock of its bars; run a live system on another '
    "server or database",
}
"""What is wrong with a system:state of one clock on a trail with the other clock, and what to do."""


class Package(BaseModel):
    """Everything known about one position at one time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbol: str
    """The symbol."""
    as_of_ms: int
    """The time of the package, in milliseconds."""
    clock: str
    """The clock of that time: server, or bars (recorded data)."""
    sections: dict[str, Section]
    """Section name to section, in the order in which a prompt shows them."""
    marks: Marks | None = None
    """What was believed about the price before; None if plausibility was not judged (see Snapshot)."""
    ledger: Ledger | None = None
    """Earlier decisions about the symbol; None without a mandate that counts them."""
    halts: dict[str, str] = {}
    """The halt keys that are set, with their values."""
    marks_after: Marks | None = None
    """What is believed about the price now; None if it was not judged."""

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
    def price_doubts(self) -> list[Finding]:
        """Why the newest price must be confirmed before it is acted on; empty if it need not be."""
        return [finding for finding in self.sections["price"].implausible if finding.doubts_price]

    @property
    def confirmed_by(self) -> str | None:
        """The person who confirmed the previous price; None if nobody had to."""
        believed = None if self.marks is None else self.marks.believed
        return believed.by or None if believed is not None and believed.is_on(self.position) else None

    @property
    def stop_reached(self) -> bool:
        """Whether the newest price is at or beyond the position's stop; check `refusal` first."""
        return stop_reached(self.position, self.price.price.last)

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
    # as_of is cut to milliseconds: a write within its last one is not later
    latest = clock.from_ms(snapshot.as_of_ms + skew_ms) + timedelta(microseconds=999)
    first_seen = first_seen_in(snapshot)
    contents = read_contents(snapshot, first_seen)
    fit_memory(contents, latest)
    fit_portfolio(contents)
    _leave_out_later_news(contents, latest)
    if (candidates := contents.get("candidates")) is not None and snapshot.marks is not None:  # 0.1.0 showed no rank
        contents["candidates"] = with_rank(candidates, market_of(snapshot.symbol))
    sections = {
        name: _section(raw, contents.get(name), snapshot, latest, name) for name, raw in snapshot.sections.items()
    }
    age_by_first_seen(sections, first_seen, snapshot)
    _check_identity(sections, snapshot.symbol)
    _check_clock(sections, snapshot.rules.clock)
    _check_thesis(sections)
    package = Package.model_construct(
        symbol=snapshot.symbol,
        as_of_ms=snapshot.as_of_ms,
        clock=snapshot.clock,
        sections=sections,
        marks=snapshot.marks,
        ledger=snapshot.ledger,
        halts=snapshot.halts,
        marks_after=None
        if snapshot.marks is None
        else _judge_plausibility(sections, contents, snapshot, snapshot.marks)._replace(first_seen=first_seen),
    )
    # The property would read these contents again.
    package.__dict__["contents"] = {
        name: contents[name] for name, section in sections.items() if section.value is not None
    }
    return package


def _leave_out_later_news(contents: dict[str, SectionContent], latest: datetime) -> None:
    """Leave out headlines that are later than the package; the section stays valid."""
    content = contents.get("sentiment")
    if content is None or not isinstance(content.value, values.Sentiment) or content.future_moment(latest) is None:
        return
    news = content.value.latest_news
    known = [item for item in news if item.timestamp <= latest]
    if len(known) < len(news):
        count = len(news) - len(known)
        left_out = Finding(UNREADABLE, f"left out as later than this package: {count} of {len(news)} headlines")
        value = content.value.model_copy(update={"latest_news": known})
        contents["sentiment"] = SectionContent("sentiment", value, unread=(*content.unread, left_out))


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
    return Section(name, raw.key, status, age_ms, None, content.value, content.unread)


def _invalid(name: str, key: str, why: str) -> Section:
    return Section(name=name, key=key, status=Status.INVALID, reason=f"{key}: {why}")


def _empty(name: str, key: str, why: str) -> Section:
    return Section(name=name, key=key, status=Status.EMPTY, reason=f"{key}: {why}")


def _check_identity(sections: dict[str, Section], symbol: str) -> None:
    position, market = sections["position"], market_of(symbol)
    if not isinstance(position.value, values.Position):
        return
    if position.value.symbol not in (symbol, market):
        sections["position"] = _invalid(
            "position", position.key, f"symbol is {position.value.symbol!r}, expected {symbol!r}"
        )
    elif symbol not in (market, f"{market}:{position.value.side}"):
        sections["position"] = _invalid("position", position.key, f"side is {position.value.side!r} under {symbol!r}")


def _check_clock(sections: dict[str, Section], trail_clock: str | None) -> None:
    """Invalidate a system:state whose clock differs from the trail's."""
    system = sections["system"]
    if trail_clock is None or not isinstance(system.value, values.System):
        return
    stated = "bars" if (system.value.model_extra or {}).get("clock") == "bars" else "server"
    if stated != trail_clock:
        sections["system"] = _invalid("system", system.key, _OTHER_CLOCK[stated])


def _judge_plausibility(
    sections: dict[str, Section], contents: dict[str, SectionContent], snapshot: Snapshot, marks: Marks
) -> Marks:
    """Note in each section what is implausible about it, and return the marks afterwards."""
    for name, content in contents.items():
        if content.implausible and sections[name].value is not None:
            sections[name] = sections[name]._replace(implausible=content.implausible)
    position, price = sections["position"].value, sections["price"].value
    if not isinstance(position, values.Position) or not isinstance(price, values.Price):
        return marks
    case = PriceCase(
        price,
        position,
        marks,
        snapshot.as_of_ms,
        max_age_ms=_max_age_for_a_stop(snapshot.rules),
        band_width=_band_width(sections["indicators"]),
        bar=snapshot.bar,
        market_open=_says_open(sections["system"]),
    )
    found: tuple[Finding, ...] = ()
    for name in REQUIRED:
        found = findings_of_case(name, case)
        if found:
            sections[name] = sections[name]._replace(implausible=(*sections[name].implausible, *found))
    return marks_after(case, found)  # the price is the last of the two


def _max_age_for_a_stop(rules: ReadRules) -> int | None:
    limit_s = rules.max_age_s.get("price")
    return None if limit_s is None else limit_s * 1000 * rules.stale_stop_factor


def _band_width(indicators: Section) -> Decimal | None:
    value = indicators.value
    usable = indicators.status is Status.FRESH and not indicators.implausible
    return value.bollinger_width if usable and isinstance(value, values.Indicators) else None


def _says_open(system: Section) -> bool:
    return isinstance(system.value, values.System) and system.value.market_status == "open"


def _check_thesis(sections: dict[str, Section]) -> None:
    """Empty the thesis unless it is about the present position."""
    thesis, position = sections["thesis"], sections["position"].value
    if not isinstance(thesis.value, values.Thesis):
        return
    if not isinstance(position, values.Position) or not _is_on(thesis.value, position):
        sections["thesis"] = _empty("thesis", thesis.key, "the last decision was on another position")


def _is_on(thesis: values.Thesis, position: values.Position) -> bool:
    """Whether a thesis is about this position: the same entry time, or the same position by its other fields.

    A collector that restarts may set a new entry time. It is the same position then if side and entry price match, no
    more is held than before, and the last decision did not close it.
    """
    # published theses have milliseconds, positions may have more digits
    if thesis.entry_time is not None and clock.to_ms(thesis.entry_time) == clock.to_ms(position.entry_time):
        return True
    if thesis.entry_price is None or thesis.held is None or thesis.action == "exit":
        return False
    same_price = abs(position.entry_price - thesis.entry_price) <= thesis.entry_price * _ROUNDING
    return thesis.side == position.side and same_price and position.quantity <= thesis.held
