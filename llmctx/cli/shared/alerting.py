"""From settings to alerts and their receivers."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from redis.asyncio import Redis

from llmctx.cli.shared.secrets import secrets_of
from llmctx.settings import Settings
from llmctx.tasks import end
from llmctx.trail.log.instance import Instance

if TYPE_CHECKING:
    from llmctx.ops.alerts.receiver import Receiver

_OWN_VARIABLES = ("LLMCTX_", "OPENAI_")


def receiver_of(settings: Settings) -> "Receiver | None":
    """The configured receiver, or None.

    Raises LlmctxError if it cannot be used.
    """
    from llmctx.ops.alerts.receiver import Command, Webhook

    alerts = settings.alerts
    if alerts.webhook is not None:
        token = None if alerts.token is None else alerts.token.get_secret_value()
        return Webhook(alerts.webhook.get_secret_value(), token)
    if alerts.command:
        # The command gets none of our settings: the password of Redis and the API key are among them.
        environment = {name: value for name, value in os.environ.items() if not name.upper().startswith(_OWN_VARIABLES)}
        return Command(alerts.command, environment)
    return None


@asynccontextmanager
async def alerting(settings: Settings, instance: str) -> AsyncIterator[bool]:
    """Send log records meanwhile as alerts; yields whether there is a receiver, and costs nothing without one.

    `instance` is the trail's id. Raises LlmctxError if the receiver cannot be used.
    """
    if settings.alerts.webhook is None and not settings.alerts.command:
        yield False
        return
    from llmctx.ops.alerts.outbox import Outbox, sending_alerts

    receiver = receiver_of(settings)
    assert receiver is not None
    outbox = Outbox(receiver, instance, secrets=secrets_of(settings), repeat_s=settings.alerts.repeat_s)
    async with sending_alerts(outbox, receiver):
        yield True


@asynccontextmanager
async def service_alerts(settings: Settings, redis: Redis, instance: Instance) -> AsyncIterator[bool]:
    """The same for a service: late checkpoints, and the error with which it ends, are sent too."""
    async with AsyncExitStack() as stack:
        is_told = await stack.enter_async_context(alerting(settings, instance.id))
        if is_told:
            from llmctx.ops.alerts.watch import telling_the_end, watch_checkpoints

            await stack.enter_async_context(telling_the_end())
            watching = asyncio.create_task(watch_checkpoints(redis, instance.partitions))
            stack.push_async_callback(end, watching)
        yield is_told
