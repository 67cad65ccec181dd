"""`llmctx approve`: what a person says of a record."""

from llmctx.cli.shared.acting import By, Why, act
from llmctx.cli.shared.options import Address, AsJson, RedisUrl, StateDir


def approve(
    record: Address, by: By, why: Why, redis_url: RedisUrl = None, state_dir: StateDir = None, as_json: AsJson = False
) -> None:
    """Approve a decision that waits for it.

    Decisions named by `require_approval` in the settings wait; `llmctx decisions --guard awaits_approval` lists them.
    The approved decision is published at once, under the address of the approval. The approval is refused once the
    decision has expired, or if a later decision was made on the symbol. A decision that does not wait can be approved
    too, which is recorded and changes nothing.

    \b
    llmctx approve 17 --by "R. Meier" --why "within plan, liquidity checked"
    """
    act("approval", record, by, why, redis_url=redis_url, state_dir=state_dir, as_json=as_json)
