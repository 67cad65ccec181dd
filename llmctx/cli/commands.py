"""The table of commands: what `llmctx --help` shows, without importing any of them."""

from typing import NamedTuple


class Command(NamedTuple):
    """One command: the function `name` in the module `llmctx.cli.TASK.NAME`."""

    name: str
    """The name typed on the command line."""
    task: str
    """Its folder, which is also its heading in the help."""
    summary: str
    """One line for `llmctx --help`: the first line of the command's docstring."""

    @property
    def module(self) -> str:
        """The module to import."""
        return f"llmctx.cli.{self.task}.{self.name}"


TASKS = {
    "run": "Run (bring in data, make decisions)",
    "look": "Look (at live data and recorded decisions)",
    "prove": "Prove (that nothing was altered)",
    "iterate": "Iterate (replay, compare, improve prompts)",
    "operate": "Operate (server, service, notary)",
}
"""Heading by folder, in the order in which `llmctx --help` shows them."""

COMMANDS = (
    Command("demo", "run", "Run the whole loop once, with nothing to set up."),
    Command("standin", "run", "Run the stand-in model, an endpoint that answers by rules."),
    Command("simulate", "run", "Write a simulated market to files: bars, headlines, sectors."),
    Command("feed", "run", "Feed bars and headlines into Redis and raise ticks."),
    Command("run", "run", "Run the service, which decides every tick exactly once."),
    Command("decide", "run", "Ask for one decision now and record it."),
    Command("confirm", "run", "Confirm that a price is right, and decide at once."),
    Command("context", "look", "Show what the model would be shown now."),
    Command("decisions", "look", "List recorded decisions, oldest first."),
    Command("show", "look", "Show one record: why it was made, what was decided, its proof."),
    Command("watch", "look", "Follow one symbol's live data as it changes."),
    Command("keys", "look", "Count the live keys and name the invalid ones."),
    Command("schema", "look", "List the live keys, or print one's JSON Schema and an example."),
    Command("mandate", "look", "Show the limits in force, or judge recorded decisions by them."),
    Command("query", "look", "Query an export or an archive with SQL."),
    Command("console", "look", "Open the console: pages and an API for desk and auditor."),
    Command("verify", "prove", "Verify the trail: every record, its evidence, every checkpoint."),
    Command("reconcile", "prove", "Compare what was decided with what was done."),
    Command("export", "prove", "Export the trail to a folder that an auditor can check alone."),
    Command("receipt", "prove", "Print a proof of one record that can be checked alone."),
    Command("report", "prove", "Write one decision or a day as one HTML file with its proof."),
    Command("key", "prove", "Print the public key that checkpoints are verified with."),
    Command("replay", "iterate", "Rebuild recorded decisions, or ask a model again."),
    Command("compare", "iterate", "Compare two replays, or a replay with the record."),
    Command("prompts", "iterate", "List, compare and check prompt versions."),
    Command("outcome", "iterate", "Report what followed each decision, and how confidence held up."),
    Command("trigger", "iterate", "Report what a trigger would have asked and missed."),
    Command("corpus", "iterate", "Keep recorded decisions in a file, for tests."),
    Command("backtest", "iterate", "Let each prompt trade a whole session and compare the results."),
    Command("redis", "operate", "Run the embedded Valkey server."),
    Command("status", "operate", "Show server, owners, backlog, rates and the last failure."),
    Command("halt", "operate", "Halt a symbol or everything: no new risk from the next tick."),
    Command("resume", "operate", "End the halt of a symbol, or of everything."),
    Command("approve", "operate", "Approve a decision that waits for it."),
    Command("override", "operate", "Decide in a decision's place: hold or exit."),
    Command("annotate", "operate", "Write a remark on a record into the trail."),
    Command("people", "operate", "List the people whom records name by id, or erase a name."),
    Command("models", "operate", "Show what the endpoint and its model can do, and why."),
    Command("doctor", "operate", "Examine server, trail and this host, and say what to do."),
    Command("notary", "operate", "Run the notary alone, which signs what is recorded."),
    Command("join", "operate", "Let a second state directory write to a trail."),
    Command("archive", "operate", "Move old records out of Redis into an archive."),
    Command("erase", "operate", "Erase archived evidence whose retention has ended."),
    Command("hold", "operate", "Keep archived evidence from erasure, or list the holds."),
    Command("backup", "operate", "Back up server and state directory, and prove the copy."),
    Command("restore", "operate", "Restore a backup into a server, and refill what came later."),
    Command("alerts", "operate", "List the alerts and who receives them; send one with --test."),
    Command("cleanup", "operate", "Clean up what live data leaves behind, never the trail."),
    Command("maintenance", "operate", "Archive, erase, back up and clean up, each step when it is due."),
    Command("adopt", "operate", "Propose a mapping for an existing keyspace; writes nothing."),
    Command("acl", "operate", "Print Redis users with the least that each program needs."),
)
"""Every command, in the order in which `llmctx --help` shows them."""
