"""Verifying an export, all rules: audit/verify.py, and llmctx with and without rendering every prompt again."""

import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType

from benchmarks.stage import Stage
from llmctx import canonical
from llmctx.replay.verify import trusted_of, verify_part
from llmctx.schema import keys
from llmctx.trail.export.reader import Export
from llmctx.trail.export.writer import Exporter
from llmctx.trail.log.instance import bind_instance
from llmctx.trail.log.log import Draft, Log, Settlement
from llmctx.trail.proof.checkpoint import Key
from llmctx.trail.proof.key import load_or_make_key
from llmctx.trail.proof.notary_service import cover_now

COPIES = 4
ROUNDS = 3
REBUILT_ROUNDS = 1
DURABLE = "audit:{0}:durable"


async def measure(stage: Stage) -> dict[str, str]:
    """verify_per_s: records a second of CPU, by audit/verify.py; the same by llmctx, and with rebuilding.

    On the records of the ticks that were measured before, and copies of them under other tick ids.
    """
    export, key = await _export(stage)
    alone = _load()
    records = export.parts[0].size
    began = time.process_time()
    for _ in range(ROUNDS):
        alone.verify_export(export.directory, alone.Key(key.text), key.name, [])
    by_audit = records * ROUNDS / (time.process_time() - began)
    by_llmctx = await _own(export, key, ROUNDS, rebuilding=False)
    rebuilding = await _own(export, key, REBUILT_ROUNDS, rebuilding=True)
    evidence = (export.directory / "0" / "evidence.jsonl").stat().st_size / records
    leaf = (export.directory / "0" / "leaves.jsonl").stat().st_size / records
    print(
        f"verify: {records} records of {leaf:.0f} + {evidence:.0f} bytes; audit/verify.py {by_audit:.0f}/s, "
        f"llmctx verify --no-rebuild {by_llmctx:.0f}/s, every prompt rendered again {rebuilding:.0f}/s"
    )
    return {
        "verify_per_s": f"{by_audit:.0f} /s",
        "verify_llmctx_per_s": f"{by_llmctx:.0f} /s",
        "verify_rebuild_per_s": f"{rebuilding:.0f} /s",
    }


async def _export(stage: Stage) -> tuple[Export, Key]:
    instance, _ = await bind_instance(stage.redis, stage.state_dir)
    log = Log(stage.redis)
    size = await log.size()
    for copy in range(COPIES):
        async for entry in log.read(0, size):
            if "tick" not in entry.record:
                continue
            record = {name: value for name, value in entry.record.items() if name != "conflated"}
            tick = f"{record['tick']}-{copy}"
            leaf = canonical.dumps(record | {"tick": tick})
            draft = Draft(leaf, dict(entry.pieces), (), tick=tick, symbol=record["symbol"])
            await log.append(draft, "", Settlement(keys.ticks(0), keys.attempts(0), keys.DECIDERS))
    await stage.redis.set(DURABLE, await log.size())
    signing = load_or_make_key(stage.state_dir, instance.id)
    await cover_now(stage.redis, instance, stage.state_dir, signing)
    exporter = Exporter(stage.state_dir / "export", instance, stage.state_dir, signing.key)
    exporter.open()
    exporter.close([await exporter.write(log)])
    return Export(stage.state_dir / "export"), signing.key


async def _own(export: Export, key: Key, rounds: int, *, rebuilding: bool) -> float:
    (part,) = export.parts
    began = time.process_time()
    for _ in range(rounds):
        report = await verify_part(export, part, trusted_of(key, None, 0), rebuilding=rebuilding)
        assert report.fault is None, report.fault
    return part.size * rounds / (time.process_time() - began)


def _load() -> ModuleType:
    path = Path(__file__).parent.parent / "audit" / "verify.py"
    spec = importlib.util.spec_from_file_location("audit_verify", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
