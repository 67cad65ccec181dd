"""Each alert rule fires on the figures that it is about, and on no calm ones; promtool plays both through."""

import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.integration.metrics.test_metrics import RULES


class Case(NamedTuple):
    """Figures, a minute apart: on some an alert fires after so many minutes, on others it never does."""

    fires: dict[str, str]
    after: int
    calm: dict[str, str]


UP = 'up{job="llmctx"}'
MAX = "llmctx_redis_memory_max_bytes"
LASTING = "llmctx_redis_memory_lasting_bytes"
PARTITION = '{partition="0"}'


def of(metric: str, fires: str, after: int, calm: str) -> Case:
    return Case({metric: fires}, after, {metric: calm})


CASES = {
    "LlmctxDown": of(UP, "0x9", 2, "1x9"),
    "LlmctxServerDown": of("llmctx_redis_up", "0x9", 2, "1x9"),
    "LlmctxPartitionWithoutOwner": of(f"llmctx_held{PARTITION}", "0x9", 2, "1x9"),
    "LlmctxTicksLate": of(f"llmctx_oldest_tick_seconds{PARTITION}", "61x9", 2, "60x9"),
    "LlmctxDeadLetters": of('llmctx_records_total{kind="dead_letter"}', "0 0 1 1 1 1", 4, "1x9"),
    "LlmctxStopUnconfirmed": of('llmctx_guards_total{guard="stop_unconfirmed"}', "0 0 1 1 1", 3, "3x9"),
    "LlmctxModelFails": of("llmctx_calls_failed_in_a_row", "8x9", 1, "7x9"),
    "LlmctxEndpointOpen": of('llmctx_endpoint_open{instance="a", endpoint="near"}', "1x9", 2, "1 0 1 0 1 0"),
    "LlmctxHalted": of('llmctx_halts{scope="all"}', "1x9", 1, "0x9"),
    "LlmctxEffectsWait": of(f"llmctx_effects_waiting{PARTITION}", "1x9", 3, "1 0 1 0 1 0"),
    "LlmctxBudgetUsedUp": of('llmctx_budget_refused_calls{scope="day"}', "1x9", 1, "0x9"),
    "LlmctxUnsigned": Case(
        {f"llmctx_unsigned_records{PARTITION}": "1x9", f"llmctx_checkpoint_age_seconds{PARTITION}": "301x9"},
        2,
        {f"llmctx_unsigned_records{PARTITION}": "0x9", f"llmctx_checkpoint_age_seconds{PARTITION}": "301x9"},
    ),
    "LlmctxNotDurable": Case(
        {f"llmctx_log_records{PARTITION}": "9x9", f"llmctx_durable_records{PARTITION}": "8x9"},
        3,
        {f"llmctx_log_records{PARTITION}": "9x9", f"llmctx_durable_records{PARTITION}": "9x9"},
    ),
    "LlmctxMemoryLasting": Case({LASTING: "71x9", MAX: "100x9"}, 6, {LASTING: "71x9", MAX: "0x9"}),
    "LlmctxMemoryFull": Case({LASTING: "86x9", MAX: "100x9"}, 1, {LASTING: "85x9", MAX: "100x9"}),
    "LlmctxEvictions": of("llmctx_redis_evicted_keys_total", "0 0 5 5 5", 3, "5x9"),
    "LlmctxSectionsMissing": of('llmctx_sections_total{section="price", status="missing"}', "0+60x30", 21, "0x30"),
    "LlmctxSlowServer": of("llmctx_redis_round_trip_seconds", "0.2x9", 3, "0.1x9"),
}


def played(alert: str, series: dict[str, str], minute: int, *, fires: bool) -> dict[str, Any]:
    """A test of promtool: whether an alert fires at a minute of these figures."""
    figures = series if alert == "LlmctxDown" else {UP: "1x60"} | series
    expected = [{"labels": "{}", "value": 1}] if fires else []
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in figures.items()],
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})',
                "eval_time": f"{minute}m",
                "exp_samples": expected,
            }
        ],
    }


def test_each_alert_fires_on_its_figures_and_not_on_calm_ones(tmp_path: Path) -> None:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    assert {rule["alert"] for group in groups for rule in group["rules"]} == CASES.keys()
    tests = [
        played(alert, series, case.after, fires=fires)
        for alert, case in CASES.items()
        for series, fires in ((case.fires, True), (case.calm, False))
    ]
    file = tmp_path / "tests.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    if shutil.which("promtool") is not None:
        done = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
