"""`llmctx alerts`: who must know what at once."""

import asyncio
from typing import Annotated

import typer

from llmctx.cli.shared.alerting import receiver_of
from llmctx.cli.shared.options import AsJson
from llmctx.cli.shared.output import escape, out, print_json
from llmctx.cli.shared.setup import settings_for
from llmctx.errors import LlmctxError


def alerts(
    test: Annotated[bool, typer.Option("--test", help="Send one alert now, and say whether it arrived.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the alerts and who receives them; send one with --test.

    `llmctx run`, `notary` and `backup` send them to the webhook or the command in [alerts] of llmctx.toml, or in
    LLMCTX_ALERTS__WEBHOOK or LLMCTX_ALERTS__COMMAND. Exit code 1: the test did not arrive. 2: nobody receives alerts.

    \b
    llmctx alerts --test
    """
    from llmctx.ops.alerts.alert import ALERTS

    settings = settings_for()
    receiver = "webhook" if settings.alerts.webhook is not None else "command" if settings.alerts.command else None
    if test:
        if receiver is None:
            raise LlmctxError(
                "Nobody receives alerts.",
                "Set webhook or command in [alerts] of llmctx.toml, or LLMCTX_ALERTS__WEBHOOK or _COMMAND.",
            )
        asyncio.run(_send_test())
    if as_json:
        print_json({"receiver": receiver, "delivered": test, "alerts": ALERTS})
    elif test:
        out.print(f"The {receiver} has received a test alert.")
    else:
        for name, says in ALERTS.items():
            out.print(f"{name:<17} {escape(says)}")
        out.print(f"\n{'Nobody receives them.' if receiver is None else f'A {receiver} receives them.'}")


async def _send_test() -> None:
    from llmctx import clock
    from llmctx.ops.alerts.alert import Alert
    from llmctx.ops.alerts.receiver import Retry, deliver

    receiver = receiver_of(settings_for())
    assert receiver is not None
    try:
        alert = Alert("test", "This is a test. Nothing has happened.", level="warning", at_ms=clock.now_ms())
        await deliver(receiver, alert.document(""), Retry(attempts=1))
    finally:
        await receiver.aclose()
