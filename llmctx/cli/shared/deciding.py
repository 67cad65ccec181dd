"""The options of every command that makes decisions: server, state directory, prompt and model, declared once."""

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any

from llmctx.cli.shared.options import Endpoint, Model, PromptName, PromptsDir, RedisUrl, StateDir
from llmctx.cli.shared.setup import settings_for

_OPTIONS: dict[str, Any] = {
    "redis_url": RedisUrl,
    "state_dir": StateDir,
    "prompt": PromptName,
    "prompts": PromptsDir,
    "endpoint": Endpoint,
    "model": Model,
}


def decides(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command these options beside its own; its first parameter, `settings`, gets the settings they make."""
    _, *own = signature(command, eval_str=True).parameters.values()
    shared = [Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=of) for name, of in _OPTIONS.items()]
    required = [parameter for parameter in own if parameter.default is Parameter.empty]
    optional = [parameter for parameter in own if parameter.default is not Parameter.empty]
    shown = [parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in (*required, *shared, *optional)]

    @wraps(command)
    def with_settings(**given: Any) -> None:
        settings = settings_for(**{name: given.pop(name, None) for name in _OPTIONS})
        command(settings, **given)

    # Typer reads a command's options from these two.
    with_settings.__dict__["__signature__"] = Signature(shown)
    with_settings.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    return with_settings
