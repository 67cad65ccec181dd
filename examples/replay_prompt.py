"""Put recorded decisions to another prompt, and print what would have been done differently.

    python examples/replay_prompt.py [CORPUS.jsonl] [PROMPT]

The decisions come from a corpus (`llmctx corpus add` writes one), here the one that is shipped; the stand-in model
answers. The same from a shell:

    llmctx replay --from CORPUS.jsonl --prompt PROMPT --out prompt.jsonl
    llmctx compare recorded prompt.jsonl
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from llmctx import load_template
from llmctx.assets import asset
from llmctx.llm.client import EndpointClient
from llmctx.llm.standin import MODEL, Standin
from llmctx.replay.compare import RECORDED, compare_results
from llmctx.replay.corpus import read_corpus
from llmctx.replay.plan import Plan
from llmctx.replay.results import ResultsFile
from llmctx.replay.run import Replay

CORPUS = Path(__file__).parent.parent / "audit" / "corpus" / "demo.jsonl"


async def replay(corpus_file: Path, prompt: str, results_file: Path) -> None:
    """Ask every decision of a corpus again under another prompt; the answers go to the results file."""
    corpus = read_corpus(corpus_file)
    decisions = [entry for entry in corpus.entries if "prompt" in entry.record]
    plan = Plan(template=load_template(asset("prompts"), prompt), model=MODEL)
    async with Standin() as model:
        client = EndpointClient(model.base_url, "none", MODEL)
        with ResultsFile(results_file, {"mode": plan.mode, "prompt": prompt}) as file:
            await Replay(plan, corpus.blobs, lambda _question, _repeat: client, file).run(decisions)
        await client.aclose()


def main(corpus: Path = CORPUS, prompt: str = "position/v1") -> None:
    """Replay, and compare with what was recorded."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.jsonl"
        asyncio.run(replay(corpus, prompt, results))
        comparison, _ = compare_results(RECORDED, str(results))
    print(f"{len(comparison.pairs)} decisions under {prompt}: {comparison.agreement} would be acted on alike")
    for (before, after), count in comparison.matrix.items():
        print(f"  {before} -> {after}: {count}")
    for pair in comparison.flips:
        print(f"  flipped: record {pair.result.index}, {pair.a.label} -> {pair.b.label}")


if __name__ == "__main__":
    main(*[kind(word) for kind, word in zip((Path, str), sys.argv[1:], strict=False)])
