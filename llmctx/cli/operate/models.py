"""`llmctx models`: what the endpoint and its model can do, and which setting follows."""

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmctx.cli.shared.endpoints import profile_for
from llmctx.cli.shared.options import AsJson, Endpoint, Model, PromptName, PromptsDir, StateDir
from llmctx.cli.shared.output import escape, out, plain_table, print_json
from llmctx.cli.shared.setup import settings_for
from llmctx.errors import EndpointError
from llmctx.llm.address import NO_KEY
from llmctx.llm.client import EndpointClient
from llmctx.llm.profile import Profile, ProfileSettings, read_setting
from llmctx.settings import Settings

if TYPE_CHECKING:
    from llmctx.ops.probe import ProbeResult, Try

_SHOWN = ("api", "mode", "form", "drop", "rename", "reasoning_tokens", "body", "key_header")


def models(
    probe: Annotated[
        bool, typer.Option("--probe", help="Try every mode at the endpoint with one call each, and say what to set.")
    ] = False,
    endpoint: Endpoint = None,
    model: Model = None,
    prompt: PromptName = None,
    prompts: PromptsDir = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Show what the endpoint and its model can do, and why.

    The address and the model are looked up in the table of profiles (docs/models.md); the setting llm.profile overrides
    it. With --probe every mode is tried with the configured prompt on a sample position. Exit code 1: no mode gave a
    decision. If there are several endpoints, each is shown, or only the one that --endpoint names.

    \b
    llmctx models
    llmctx models --probe --endpoint http://127.0.0.1:8080/v1 --model my-model
    """
    settings = settings_for(state_dir=state_dir, prompt=prompt, prompts=prompts, endpoint=endpoint, model=model)
    several = settings.each_endpoint
    documents, usable = [], True
    for name, each in several.items() or (("", settings),):
        if name and not as_json:
            out.print(f"[bold]{name}[/]")
        document, works = _examine(each, probe=probe, quiet=as_json)
        documents.append({"endpoint": name} | document if name else document)
        usable = usable and works
    if as_json:
        print_json(documents if several else documents[0])
    if not usable:
        raise typer.Exit(1)


def _examine(settings: Settings, *, probe: bool, quiet: bool) -> tuple[dict[str, Any], bool]:
    """Show what one endpoint can do, unless `quiet`; return the same as JSON, and whether it is not known to fail."""
    profile = profile_for(settings)
    if profile is None:
        raise EndpointError(
            "No LLM endpoint is configured, or no model.",
            "Set LLMCTX_LLM__BASE_URL and LLMCTX_LLM__MODEL, or give --endpoint and --model.",
        )
    if not quiet:
        _print_profile(profile)
    result = asyncio.run(_probe(settings, quiet=quiet)) if probe else None
    if not quiet and result is not None:
        _print_advice(profile, result)
    return _document(profile, result), result is None or result.mode is not None


async def _probe(settings: Settings, *, quiet: bool) -> "ProbeResult":
    from llmctx.ops.probe import probe
    from llmctx.prompt.template import load_template

    template = load_template(settings.prompts, settings.prompt, settings.state_dir)
    llm, clients = settings.llm, []

    def open_client(given: ProfileSettings) -> EndpointClient:
        assert llm.model is not None
        client = EndpointClient(
            llm.base_url,
            settings.api_key or NO_KEY,
            llm.model,
            timeout_s=llm.timeout_s,
            max_attempts=llm.max_attempts or 2,
            max_body_bytes=llm.max_body_bytes,
            profile=given,
        )
        clients.append(client)
        return client

    try:
        return await probe(template, open_client, read_setting(llm.profile), _ignore if quiet else _print_try)
    finally:
        for client in clients:
            await client.aclose()


def _ignore(_: "Try") -> None:
    pass


def _print_profile(profile: Profile) -> None:
    table = plain_table("", "")
    table.show_header = False
    table.add_row("profile", profile.name)
    for name in _SHOWN:
        if value := getattr(profile, name):
            table.add_row(name, escape(_text(value)))
    if profile.headers:
        table.add_row("headers", escape(", ".join(sorted(profile.headers))))
    out.print(table)
    for reason in profile.reasons:
        out.print(f"[dim]because of {escape(reason)}[/]")


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(value)
    return json.dumps(value) if isinstance(value, dict) else str(value)


def _print_try(tried: "Try") -> None:
    if tried.usable:
        out.print(f"[green]{tried.mode}[/]: a decision in {tried.duration_ms} ms")
    else:
        out.print(f"[red]{tried.mode}[/]: {escape(tried.about)}: {escape(tried.why)}")


def _print_advice(profile: Profile, result: "ProbeResult") -> None:
    advice = settings_to_set(profile, result)
    if result.mode is None:
        out.print("No mode gave a decision: correct what failed above, or name another model.")
        if result.tries[-1].about == "time":
            out.print("Allow more time with LLMCTX_LLM__TIMEOUT_S.")
    elif not advice:
        out.print("Nothing to set: the present profile works.")
    if advice:
        out.print("Set:" if result.mode is not None else "Set, and probe again:")
        for line in advice:
            out.print(f"  {line}", markup=False)


def settings_to_set(profile: Profile, result: "ProbeResult") -> list[str]:
    """The environment variables that make the endpoint usable; none if the present profile is."""
    present_works = any(tried.usable and tried.mode is profile.mode for tried in result.tries)
    lines = []
    if result.mode is not None and not present_works:
        lines.append(f"LLMCTX_LLM__PROFILE__MODE={result.mode}")
    if dropped := sorted(set(result.settings.drop) - set(profile.drop)):
        lines.append(f"LLMCTX_LLM__PROFILE__DROP='{json.dumps(sorted({*dropped, *result.settings.drop}))}'")
    if {name: other for name, other in result.settings.rename.items() if profile.rename.get(name) != other}:
        lines.append(f"LLMCTX_LLM__PROFILE__RENAME='{json.dumps(result.settings.rename)}'")
    if any(tried.about == "length" for tried in result.tries) and not present_works:
        lines.append("LLMCTX_LLM__PROFILE__REASONING_TOKENS=8192")
    return lines


def _document(profile: Profile, result: "ProbeResult | None") -> dict[str, Any]:
    document = profile.model_dump(mode="json", exclude={"headers", "keep"}) | {"headers": sorted(profile.headers)}
    if result is not None:
        document["probe"] = {
            "tries": [tried._asdict() for tried in result.tries],
            "mode": result.mode,
            "set": settings_to_set(profile, result),
        }
    return document
