"""Try each mode at an endpoint with one call, to tell which one to set.

The call is that of a decision: the configured prompt on a sample position, the whole client on the way, and the answer
is read and validated as always. A parameter that the endpoint refuses by name is left out, and the mode tried again.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from llmctx import canonical, clock
from llmctx.context.package import build_package
from llmctx.context.read_rules import ReadRules
from llmctx.context.snapshot import RawSection, Snapshot
from llmctx.decision.decision import OUTPUT
from llmctx.decision.parse import judge
from llmctx.llm.advice import advice
from llmctx.llm.completion import Completer, Completion, Outcome
from llmctx.llm.mode import Mode
from llmctx.llm.profile import ProfileSettings
from llmctx.llm.reported import read_error
from llmctx.prompt.render import Prompt, render
from llmctx.prompt.template import Template
from llmctx.schema.keys import section_keys

PREFERENCE = (Mode.SCHEMA_BOUNDED, Mode.SCHEMA, Mode.TOOL, Mode.JSON_OBJECT, Mode.PROMPTED)
"""The modes, the one that enforces the form most strictly first."""

_MAX_REFUSED_PARAMETERS = 4
_HOPELESS = (401, 402, 403, 404)
_BY_OUTCOME = {Outcome.TRUNCATED: "length", Outcome.TIMEOUT: "time", Outcome.UNREACHABLE: "connection"}
_AT = "2026-01-05T15:00:00.000Z"
_SAMPLE: dict[str, dict[str, Any]] = {
    "price": {"price": {"last": 150.25, "open": 149.8, "high": 151.2, "low": 149.5, "volume": 250000}},
    "indicators": {"rsi_14": 55.5, "macd": 0.5, "macd_signal": 0.3, "bollinger_upper": 152.5, "bollinger_lower": 148.5},
    "position": {
        "symbol": "AAPL", "entry_price": 148.5, "current_price": 150.25, "quantity": 100, "side": "long",
        "entry_time": "2026-01-05T14:00:00.000Z", "unrealized_pnl": 175, "unrealized_pnl_pct": 1.18,
        "stop_loss": 145.5, "take_profit": 155, "last_update": _AT,
    },
    "system": {
        "state": "running", "market_status": "open", "active_positions_count": 1, "watchlist_count": 1,
        "last_scan_time": None,
    },
}  # fmt: skip

Open = Callable[[ProfileSettings], Completer]
"""Gives a completer of the endpoint whose profile has these settings."""
OnTry = Callable[["Try"], None]


class Try(NamedTuple):
    """The result for one mode."""

    mode: Mode
    """The mode."""
    usable: bool
    """Whether the answer is a decision."""
    why: str
    """What failed; empty if nothing did."""
    about: str
    """key, model, quota, request, context, parameter, schema, tool, length, time, answer or connection; else empty."""
    duration_ms: int
    """How long the last call took."""


class ProbeResult(NamedTuple):
    """What an endpoint can do."""

    tries: tuple[Try, ...]
    """Every mode that was tried, in order."""
    settings: ProfileSettings
    """The settings for parameters that were refused by name."""
    mode: Mode | None
    """The mode to set: the first that gave a decision; None if none did."""


async def probe(template: Template, open_completer: Open, base: ProfileSettings, on_try: OnTry) -> ProbeResult:
    """Try every mode, unless a failure shows that none can work."""
    prompt, settings, tries = render_sample(template), base, []
    for mode in PREFERENCE:
        tried, settings = await _try(prompt, mode, settings, open_completer)
        tries.append(tried)
        on_try(tried)
        if tried.about in ("key", "model", "quota", "connection", "time"):
            break
    best = next((tried.mode for tried in tries if tried.usable), None)
    return ProbeResult(tuple(tries), settings, best)


async def _try(
    prompt: Prompt, mode: Mode, settings: ProfileSettings, open_completer: Open
) -> tuple[Try, ProfileSettings]:
    for _ in range(_MAX_REFUSED_PARAMETERS):
        completer = open_completer(settings.model_copy(update={"mode": mode}))
        completion = await completer.complete(prompt, OUTPUT)
        mended = _mended(completion, settings)
        if mended is None:
            break
        settings = mended
    decision, why = judge(completion)
    duration_ms = completion.attempts[-1].duration_ms if completion.attempts else 0
    return Try(mode, decision is not None, why, _about(completion, usable=decision is not None), duration_ms), settings


def _mended(completion: Completion, settings: ProfileSettings) -> ProfileSettings | None:
    """The settings without the parameter that was refused; None if none was."""
    status, error = _status_of(completion), read_error(completion.body)
    found = None if error is None else advice(status, error)
    if found is None or found.settings is None:
        return None
    drop = tuple(sorted({*settings.drop, *found.settings.drop}))
    mended = settings.model_copy(update={"drop": drop, "rename": settings.rename | found.settings.rename})
    return None if mended == settings else mended


def _about(completion: Completion, *, usable: bool) -> str:
    status, error = _status_of(completion), read_error(completion.body)
    if usable:
        return ""
    if status in _HOPELESS and completion.outcome is Outcome.REJECTED:
        found = advice(status, error) if error is not None else None
        return found.about if found else {402: "quota", 404: "model"}.get(status, "key")
    if completion.outcome is Outcome.REJECTED and error is not None:
        found = advice(status, error)
        return found.about if found else "quota" if "quota" in error.code else "request"
    return _BY_OUTCOME.get(completion.outcome, "answer")


def _status_of(completion: Completion) -> int:
    """The status of the last response, or the one that it reports; 0 if there was none."""
    last = completion.attempts[-1].result.rpartition(" ")[2] if completion.attempts else ""
    return int(last) if last.isdigit() else 0


def render_sample(template: Template) -> Prompt:
    """The prompt of a template on a sample position.

    Raises TemplateError if the template cannot be rendered.
    """
    at_ms = clock.to_ms(clock.parse_iso(_AT))
    rules = ReadRules()
    sections = {
        name: RawSection(key, canonical.wire(_SAMPLE[name] | {"timestamp": _AT}) if name in _SAMPLE else None)
        for name, key in section_keys("AAPL", rules.signal_types, 0).items()
    }
    snapshot = Snapshot(
        symbol="AAPL", partition=0, server_ms=at_ms, as_of_ms=at_ms, clock="server", rules=rules, sections=sections
    )
    return render(template, build_package(snapshot))
