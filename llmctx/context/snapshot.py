"""A snapshot: the raw text of every section's key, read at one instant and kept verbatim.

It is the complete evidence of what was known. `evidence()` returns the exact bytes whose digest the leaf holds, and
`from_evidence()` parses them back, so a package can be rebuilt from the record alone.
"""

import base64
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple, cast, get_args

from pydantic import BaseModel, ConfigDict

from llmctx import canonical
from llmctx.clock import parse_iso, to_ms
from llmctx.context.ledger import Ledger
from llmctx.context.marks import LaterBar, Marks
from llmctx.context.memory import NOTHING
from llmctx.context.read_rules import Clock, ReadRules
from llmctx.schema.keys import optional_sections
from llmctx.schema.mapping.sections import Sections

NO_BLOBS: Mapping[str, bytes] = {}


class RawSection(NamedTuple):
    """One key as read; a tuple, because every tick creates a dozen."""

    key: str
    """The key."""
    raw: bytes | None = None
    """Its exact bytes; None if the key does not exist or could not be read."""
    unread: str | None = None
    """Why it could not be read: not a string, or larger than the cap."""


class TrailReference(NamedTuple):
    """Names a record of the trail."""

    address: str
    """Its address: INDEX, or P:INDEX with several partitions."""
    leaf_hash: str
    """Its leaf hash, in hex."""


class LastDecision(NamedTuple):
    """The last usable decision on a symbol, from the trail: the thesis of its next package."""

    text: bytes
    """The decision as published."""
    record: TrailReference
    """The record that contains it."""
    as_of_ms: int = 0
    """The time of its package, in milliseconds; packages of an earlier time do not have it as their thesis."""


class Known(NamedTuple):
    """What the trail knows about a symbol before a snapshot."""

    marks: Marks = Marks()
    """What was believed about its price."""
    thesis: LastDecision | None = None
    """Its last usable decision; None if there is none."""
    ledger: Ledger | None = None
    """Earlier decisions about it; None if the trail does not say."""
    memory: bytes = NOTHING
    """What is remembered of its packages and decisions (context/remember)."""
    remembered: TrailReference | None = None
    """The record that the memory follows from; None if nothing is remembered."""


class Snapshot(BaseModel):
    """Every section of one symbol at one instant."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbol: str
    """The symbol of these sections."""
    partition: int
    """The symbol's partition, which is part of the thesis key."""
    server_ms: int
    """The server's time of the read, in milliseconds."""
    as_of_ms: int
    """The time against which ages are measured, in milliseconds; nothing later may reach the package."""
    clock: Clock
    """The source of as_of_ms: the server's time, or the timestamp of system:state."""
    rules: ReadRules
    """The rules of this package."""
    sections: dict[str, RawSection]
    """What was read, by section name in the order of `schema.keys.section_keys`."""
    marks: Marks | None = None
    """What was believed about the price before; None if an older version, without plausibility, took the snapshot."""
    bar: LaterBar | None = None
    """The newest bar, read while the price is in doubt; None without a bar or without doubt."""
    ledger: Ledger | None = None
    """Earlier decisions about the symbol; None without a mandate that counts them."""
    halts: dict[str, str] = {}
    """The halt keys that are set, with their values."""
    thesis: TrailReference | None = None
    """The record that the thesis section comes from; None if there is no thesis, or if its writer named no record."""
    remembered: TrailReference | None = None
    """The record that the memory section follows from; None if nothing is remembered."""

    def evidence(self) -> bytes:
        """The bytes that are hashed and kept; audit/README.md documents their form."""
        texts: dict[str, str | None] = {}
        unread: dict[str, dict[str, str]] = {}
        for name, section in self.sections.items():
            texts[name] = None
            if section.unread is not None:
                unread[name] = {"why": section.unread}
            elif section.raw is not None:
                try:
                    texts[name] = section.raw.decode()
                except UnicodeDecodeError:
                    unread[name] = {"base64": canonical.to_base64(section.raw)}
        limits: dict[str, Any] = {
            "max_age_s": self.rules.max_age_s,
            "max_value_bytes": self.rules.max_value_bytes,
            "skew_ms": self.rules.skew_ms,
        }
        document: dict[str, Any] = {
            "symbol": self.symbol,
            "partition": self.partition,
            "server_ms": self.server_ms,
            "as_of_ms": self.as_of_ms,
            "clock": self.clock,
            "signal_types": list(self.rules.signal_types),
            "limits": limits,
            "sections": texts,
        }
        if self.marks is not None:
            limits["stale_stop_factor"] = self.rules.stale_stop_factor
        if unread:
            document["unread"] = unread
        return canonical.dumps(document | self._sometimes())

    def _sometimes(self) -> dict[str, Any]:
        """The optional fields of the evidence that this snapshot has."""
        found: dict[str, Any] = {}
        if self.bar is not None:
            found["bar"] = {"start_ms": self.bar.start_ms, "close": str(self.bar.close)}
        if self.thesis is not None:
            found["thesis"] = self.thesis._asdict()
        if self.remembered is not None:
            found["memory"] = self.remembered._asdict()
        if self.rules.clock is not None:
            found["trail_clock"] = self.rules.clock
        if self.rules.sections is not None:
            found["mapping_sha256"] = self.rules.sections.sha256
        if self.marks is not None:
            found["marks"] = self.marks.document()
        if self.ledger is not None:
            found["ledger"] = self.ledger.document()
        if self.halts:
            found["halts"] = self.halts
        return found

    @classmethod
    def from_evidence(cls, raw: bytes, blobs: Mapping[str, bytes] = NO_BLOBS) -> "Snapshot":
        """Parse what `evidence()` wrote; `blobs` holds the mapping that it names, if it names one.

        Raises ValueError if the bytes are malformed, or the mapping is missing or was changed.
        """
        document = canonical.loads(raw)
        try:
            rules = ReadRules(
                signal_types=tuple(document["signal_types"]),
                clock=document.get("trail_clock"),
                sections=named_sections(document.get("mapping_sha256"), blobs),
                **document["limits"],
            )
            keys = rules.keys(document["symbol"], document["partition"])
            unread = document.get("unread", {})
            texts = document["sections"]
            optional = optional_sections(document["symbol"], document["partition"])
            keys = {**keys, **{name: key for name, key in optional.items() if name in texts}}
            thesis, remembered = document.get("thesis"), document.get("memory")
            sections = {
                name: _raw_section(key, texts[name], unread[name])
                if name in unread
                else RawSection(key, None if (text := texts[name]) is None else text.encode())
                for name, key in keys.items()
            }
            return cls(
                symbol=document["symbol"],
                partition=document["partition"],
                server_ms=document["server_ms"],
                as_of_ms=document["as_of_ms"],
                clock=document["clock"],
                rules=rules,
                sections=sections,
                marks=Marks.parse(document["marks"]) if "marks" in document else None,
                bar=LaterBar(bar["start_ms"], Decimal(bar["close"])) if (bar := document.get("bar")) else None,
                ledger=Ledger.parse(document["ledger"]) if "ledger" in document else None,
                halts=document.get("halts", {}),
                thesis=None if thesis is None else TrailReference(**thesis),
                remembered=None if remembered is None else TrailReference(**remembered),
            )
        except (KeyError, TypeError, AttributeError, ArithmeticError) as error:
            raise ValueError(f"the snapshot piece lacks {error}") from error


def named_sections(digest: str | None, blobs: Mapping[str, bytes]) -> Sections | None:
    """The mapping with a digest; None if the record names none.

    Raises ValueError if the blob is missing, was changed or is malformed.
    """
    if digest is None:
        return None
    blob = blobs.get(digest)
    if blob is None:
        raise ValueError(f"the mapping {digest}, a blob that the record names, is missing")
    return _parse_sections(digest, blob)


@lru_cache(maxsize=64)
def _parse_sections(digest: str, blob: bytes) -> Sections:
    if canonical.sha256(blob) != digest:
        raise ValueError(f"the mapping {digest} was changed")
    return Sections.parse(blob)


def _raw_section(key: str, text: str | None, unread: dict[str, str]) -> RawSection:
    if "base64" in unread:
        return RawSection(key=key, raw=base64.b64decode(unread["base64"]))
    return RawSection(key=key, raw=None if text is None else text.encode(), unread=unread.get("why"))


def clock_of(text: object) -> Clock | None:
    """The clock that a stored value names, None if it names none."""
    return cast("Clock", text) if text in get_args(Clock) else None


def as_of(system_state: bytes | None, server_ms: int, trail_clock: str | None = None) -> tuple[int, Clock]:
    """The time against which a snapshot's ages are measured, in milliseconds, and the clock it comes from.

    A feed of recorded data marks system:state with "clock": "bars"; its own timestamp is used then, because the
    server's time means nothing for data of another day. On a trail with the server's clock the mark has no effect.
    """
    if trail_clock != "server" and system_state is not None and b'"clock"' in system_state:
        try:
            document = canonical.loads(system_state)
            if isinstance(document, dict) and document.get("clock") == "bars":
                bars_ms = to_ms(parse_iso(document["timestamp"]))
                if bars_ms >= 0:  # no record has a time before 1970
                    return bars_ms, "bars"
        except (ValueError, KeyError, TypeError):
            pass  # the system section will be invalid and give the reason
    return server_ms, "server"
