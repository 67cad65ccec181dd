"""The daily budget of all workers of a server: one hash, written only by the two functions beside this file.

A call reserves the most that it may use, in all scopes at once, and afterwards counts what it used. A reservation that
is never settled, because its worker died, stays until the day ends: the call may have been paid for.
"""

import logging
import re
import uuid
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any, cast

from redis.asyncio import Redis

from llmctx import clock
from llmctx.connection import server_ms
from llmctx.errors import in_short
from llmctx.functions import Argument, ServerFunction
from llmctx.killpoint import reached
from llmctx.llm.budget import BudgetTerms, Reserved, Spending
from llmctx.llm.budget_limits import CallLimits, DailyBudget
from llmctx.llm.completion import Completion
from llmctx.prompt.render import Prompt
from llmctx.schema import keys

_log = logging.getLogger(__name__)

_HERE = Path(__file__).parent
_RESERVE = ServerFunction(_HERE / "reserve.lua", after=(_HERE / "budget.lua",))
_SETTLE = ServerFunction(_HERE / "settle_call.lua", after=(_HERE / "budget.lua",))
_PER_UNIT = Decimal(10**9)
_DAY_MS = 86_400_000
_REFUSED = "refused "
_UNITS = ("calls", "tokens", "cost")
_AMOUNT = re.compile(r"-?[0-9]{1,18}")


class SharedBudget:
    """A daily budget as one worker sees it."""

    def __init__(self, redis: Redis, terms: BudgetTerms) -> None:
        self._redis, self._terms = redis, terms
        self._limits = terms.limits.model_dump_json(exclude_none=True)
        self._told: set[tuple[int, str]] = set()

    async def reserve(self, symbol: str, prompt: Prompt) -> Reserved | str:
        """Reserve the most that a call may use; returns why it may not be made if the budget does not suffice.

        A server that does not answer, or has no memory left, allows no call.
        """
        most = self._terms.cost.most(prompt, self._terms.output)
        if most is None and any(limits.bound_needed for limits in self._terms.limits.parts):
            return f"{prompt.template}/v{prompt.version} does not limit its answer, so the daily budget allows no call"
        reserved = Reserved(uuid.uuid4().hex, most or Spending())
        scopes = self._terms.limits.scopes(symbol, prompt.template)
        arguments: list[Argument] = [reserved.id, *_amounts(reserved.most), self._limits]
        for scope, limits in scopes.items():
            arguments += [scope, *_limits(limits)]
        try:
            refusal = await _RESERVE(self._redis, [keys.BUDGET], arguments)
        except Exception as error:  # noqa: BLE001  the guardrails judge without a call
            return f"the daily budget cannot be read, so no call is made: {in_short(error)}"
        reached("reserved")
        return reserved if refusal is None else self._refused(*(part.decode() for part in refusal))

    async def settle(self, reserved: Reserved, completion: Completion) -> None:
        """Count what a call used in place of its reservation; a failure leaves the reservation."""
        try:
            used = self._terms.cost.used(completion, reserved.most)
            await _SETTLE(self._redis, [keys.BUDGET], [reserved.id, *_amounts(used)])
        except Exception as error:  # noqa: BLE001  an answer that was paid for is not lost
            _log.warning(f"What a call used could not be counted ({in_short(error)}); its reservation stays")

    def _refused(self, scope: str, unit: str, used: str, limit: str) -> str:
        left = max(_number(unit, limit) - _number(unit, used), Decimal(0))
        what = f"the daily budget of {_number(unit, limit):,f} {unit} ({scope}) does not suffice: {left:,f} are left"
        day = clock.now_ms() // _DAY_MS
        if (day, subject := f"{scope} {unit}") not in self._told:
            self._told = {told for told in self._told if told[0] == day} | {(day, subject)}
            _log.warning(
                f"{what}. The guardrails decide alone until midnight UTC, or until daily_budget is raised",
                extra={"alert": "budget", "subject": subject},
            )
        return what


async def read_budget(redis: Redis) -> dict[str, Any] | None:
    """Today's limits, used and reserved amounts, and refused calls of each limit; None if no call was made today.

    An amount that is not a number, because somebody else has written it, is None. Raises redis.exceptions.RedisError if
    the server does not answer.
    """
    stored = cast("dict[bytes, bytes]", await redis.hgetall(keys.BUDGET))
    found = {name.decode(errors="replace"): value.decode(errors="replace") for name, value in stored.items()}
    day = await server_ms(redis) // _DAY_MS
    if found.get("day") != str(day):
        return None
    used = {unit: _read_amount(unit, found.get(f"all {unit}", "0")) for unit in _UNITS}
    refused = {
        name.removeprefix(_REFUSED): _read_amount("calls", count)
        for name, count in sorted(found.items())
        if name.startswith(_REFUSED)
    }
    return {
        "day": clock.iso(day * _DAY_MS)[:10],
        "limits": _read_limits(found.get("limits", "{}")),
        "used": used,
        "unsettled_calls": sum(name.startswith("call ") for name in found),
        "refused": {name: count for name, count in refused.items() if count is not None},
    }


def _read_amount(unit: str, text: str) -> int | str | None:
    """An amount as it is stored; None if it is not a number, because somebody else has written it."""
    if not _AMOUNT.fullmatch(text):
        return None
    return f"{_number(unit, text):f}" if unit == "cost" else int(text)


def _read_limits(text: str) -> dict[str, Any]:
    try:
        return dict(DailyBudget.model_validate_json(text).model_dump(mode="json", exclude_none=True))
    except ValueError:
        return {}  # somebody else has written it


def in_words(budget: dict[str, Any]) -> str:
    """The used amounts of a budget that was read, in words."""
    limits, used = budget["limits"], budget["used"]
    said = {unit: "unknown" if amount is None else amount for unit, amount in used.items()}
    parts = [f"{said[unit]} of {limits[unit]} {unit}" for unit in said if unit in limits]
    return ", ".join(parts or [f"{said['calls']} calls, {said['tokens']} tokens"])


def _amounts(spending: Spending) -> tuple[int, int]:
    return spending.tokens, _billionths(spending.cost)


def _limits(limits: CallLimits) -> list[Argument]:
    cost = None if limits.cost is None else int(limits.cost * _PER_UNIT)
    return ["" if limit is None else limit for limit in (limits.calls, limits.tokens, cost)]


def _billionths(cost: Decimal) -> int:
    return int((cost * _PER_UNIT).to_integral_value(ROUND_CEILING))


def _number(unit: str, text: str) -> Decimal:
    return Decimal(text) / _PER_UNIT if unit == "cost" else Decimal(text)
