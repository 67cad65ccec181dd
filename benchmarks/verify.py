"""Verification by all rules: audit/verify.py and llmctx on an export, and llmctx on the same trail in Redis."""

import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType

from benchmarks.stage import Stage
from llmctx import canonical
from llmctx.replay.verify import Expected, OutsideEvidence, trusted_of, verify_log, writers_of
from llmctx.replay.verify_copy import verify_part
from llmctx.schema import keys
from llmctx.trail.export.reader import Export
from llmctx.trail.export.writer import Exporter, Proven
from llmctx.trail.log.instance import bind_instance
from llmctx.trail.log.log import Draft, Log, Settlement
from llmctx.trail.proof.anchor import Anchor, anchor_directory
from llmctx.trail.proof.checkpoint import Key, key_name_of
from llmctx.trail.proof.key import load_or_make_key
from llmctx.trail.proof.notary_service import cover_now
from llmctx.trail.proof.writer import load_or_make_writer

COPIES = 2
ROUNDS = 3
DURABLE = "audit:{0}:durable"


async def measure(stage: Stage) -> dict[str, str]:
    """verify_per_s: records per second of CPU by audit/verify.py; the same by llmctx, without and with rebuilding.

    verify_redis_ratio: CPU of a verification from Redis / from an export, with rebuilding as `llmctx verify` does it;
    verify_redis_rules_ratio: the same without rebuilding. Measured on the records of the ticks that were measured
    before, and on copies of them under other tick ids.
    """
    export, key = await _export(stage)
    alone = _load()
    records = export.parts[0].size
    began = time.process_time()
    for _ in range(ROUNDS):
        alone.verify_export(export.directory, alone.Key(key.text), key.name, [])
    by_audit = records * ROUNDS / (time.process_time() - began)
    outside = _outside(stage, export, key)
    rules_s, rules_redis_s = [await _time(stage, export, outside, each, rebuilding=False) for each in (False, True)]
    rebuilt_s, rebuilt_redis_s = [await _time(stage, export, outside, each, rebuilding=True) for each in (False, True)]
    evidence = (export.directory / "0" / "evidence.jsonl").stat().st_size / records
    leaf = (export.directory / "0" / "leaves.jsonl").stat().st_size / records
    print(
        f"verify: {records} records of {leaf:.0f} + {evidence:.0f} bytes; audit/verify.py {by_audit:.0f}/s, "
        f"llmctx verify --no-rebuild {records / rules_s:.0f}/s from the export, {records / rules_redis_s:.0f}/s from "
        f"Redis, with every prompt rendered again {records / rebuilt_s:.0f}/s and {records / rebuilt_redis_s:.0f}/s"
    )
    return {
        "verify_per_s": f"{by_audit:.0f} /s",
        "verify_llmctx_per_s": f"{records / rules_s:.0f} /s",
        "verify_rebuild_per_s": f"{records / rebuilt_s:.0f} /s",
        "verify_redis_ratio": f"{rebuilt_redis_s / rebuilt_s:.2f} x",
        "verify_redis_rules_ratio": f"{rules_redis_s / rules_s:.2f} x",
    }


async def _export(stage: Stage) -> tuple[Export, Key]:
    instance, _ = await bind_instance(stage.redis, stage.state_dir)
    log, writer = Log(stage.redis), load_or_make_writer(stage.state_dir, instance.id)
    log.prove = lambda leaf: writer.prove(0, leaf)
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
    exporter = Exporter(stage.state_dir / "export", key_name_of(instance.id), signing.key)
    exporter.open()
    await exporter.write(log, Proven.by(Anchor(anchor_directory(stage.state_dir, instance.id, 0))))
    exporter.close()
    return Export(stage.state_dir / "export"), signing.key


def _outside(stage: Stage, export: Export, key: Key) -> OutsideEvidence:
    instance = key.name.removeprefix("llmctx/")
    anchor = Anchor(anchor_directory(stage.state_dir, instance, 0))
    trusted = trusted_of(key, None, 0)
    return OutsideEvidence(
        trusted,
        anchor.checkpoints(),
        anchor.hashes(0, export.parts[0].size),
        writers=writers_of(trusted.origin, trusted),
    )


async def _time(stage: Stage, export: Export, outside: OutsideEvidence, from_redis: bool, *, rebuilding: bool) -> float:
    """CPU seconds of one verification, the best of three."""
    assert outside.trusted is not None
    times = []
    for _ in range(ROUNDS):
        began = time.process_time()
        if from_redis:
            report = await verify_log(Log(stage.redis), outside=outside, rebuilding=rebuilding)
        else:
            report = await verify_part(export, export.parts[0], Expected(outside.trusted.key, rebuild=rebuilding))
        times.append(time.process_time() - began)
        assert report.fault is None, report.fault
    return min(times)


def _load() -> ModuleType:
    path = Path(__file__).parent.parent / "audit" / "verify.py"
    spec = importlib.util.spec_from_file_location("audit_verify", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
