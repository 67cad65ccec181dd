"""`llmctx replay --mandate FILE`: recorded answers judged by another mandate. Nobody is asked."""

from llmctx.cli.iterate.replay_ask import altered_among, default_path, print_question, question_of
from llmctx.cli.iterate.replay_options import ReplayOptions
from llmctx.cli.iterate.replay_summary import Answers, print_summary
from llmctx.cli.shared.sources import no_match, recordings_of
from llmctx.replay.budget import Budget
from llmctx.replay.mandate_check import judge_again
from llmctx.replay.plan import Plan
from llmctx.replay.results import ResultsFile
from llmctx.replay.run import ReplaySummary
from llmctx.settings import Settings


async def judge(settings: Settings, options: ReplayOptions) -> int:
    """Judge, write the results, print a summary, and return the exit code: 1 if evidence was altered."""
    plan = Plan(mandate=options.mandate)
    async with recordings_of(settings, options.where) as recordings:
        entries = [entry async for entry in recordings.select(options.selection)]
    if not entries or options.mandate is None:
        raise no_match(options.text, recordings, options.where)
    altered = altered_among(entries, recordings)
    question = question_of(settings, options, plan, recordings) | {"endpoint": None}
    path = options.out or default_path(settings.state_dir, options.mode, question)
    with ResultsFile(path, question, fresh=options.fresh, inputs=options.inputs) as file:
        known = {result.place for result in file.before}
        found = [judged.result for judged in judge_again(entries, recordings.blobs, options.mandate)]
        for result in found:
            if result.place not in known:
                file.add(result)
    if not options.as_json:
        print_question(options, plan, recordings, path, len(entries))
    print_summary(options, path, Answers(found, ReplaySummary(0, 0, 0, stopped=False), Budget(None, None), altered))
    return 1 if altered else 0
