"""The spans of a service, as an OTLP collector receives them."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from redis.asyncio import Redis

from llmctx.llm.standin import MODEL
from tests.conftest import free_port
from tests.integration.conftest import hold
from tests.integration.program import Program

DEAD = "http://127.0.0.1:1/v1"


class Collector:
    """A collector of OTLP over HTTP: keeps every span that is sent to it."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.resource: dict[str, Any] = {}
        self.headers: list[str] = []
        self.endpoint = ""

    async def receive(self, request: web.Request) -> web.Response:
        assert request.content_type == "application/x-protobuf"
        sent = ExportTraceServiceRequest.FromString(await request.read())
        self.headers.append(request.headers.get("x-token", ""))
        for resource in sent.resource_spans:
            self.resource = attributes(resource.resource.attributes)
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)
        return web.Response(
            body=ExportTraceServiceResponse().SerializeToString(), content_type="application/x-protobuf"
        )

    def traces(self) -> list[dict[str, Span]]:
        """The spans of each trace by name."""
        found: defaultdict[bytes, dict[str, Span]] = defaultdict(dict)
        for span in self.spans:
            found[span.trace_id][span.name] = span
        return list(found.values())


def attributes(pairs: Any) -> dict[str, Any]:
    """Attributes as plain values."""
    return {pair.key: plain(pair.value) for pair in pairs if isinstance(pair, KeyValue)}


def plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return attributes(value.kvlist_value.values)
    return None if kind is None else getattr(value, kind)


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """A collector on a free port."""
    collector, port = Collector(), free_port()
    application = web.Application(client_max_size=2**26)
    application.router.add_post("/v1/traces", collector.receive)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    collector.endpoint = f"http://127.0.0.1:{port}"
    try:
        yield collector
    finally:
        await runner.cleanup()


async def traced(program: Program, redis: Redis, **settings: str) -> Collector:
    """What a collector has received once a service has decided a tick, and has ended."""
    await hold(redis, "AAPL")
    async with collecting() as collector:
        program.environment |= {"LLMCTX_OTEL__ENDPOINT": collector.endpoint, **settings}
        async with program.running(redis) as process:
            await program("decide", "AAPL")
            assert (await program.stop(process)).code == 0
    return collector


async def test_a_tick_is_a_trace_of_its_steps(program: Program, valkey: Redis) -> None:
    collector = await traced(program, valkey, OTEL_EXPORTER_OTLP_HEADERS="x-token=secret", OTEL_SERVICE_NAME="desk")
    (spans,) = collector.traces()
    chat = f"chat {MODEL}"
    assert set(spans) == {"tick", "read", "render", chat, "judge", "append", "sync", "publish"}
    root = spans.pop("tick")
    assert not root.parent_span_id
    steps = sorted(spans.values(), key=lambda span: (span.start_time_unix_nano, span.end_time_unix_nano))
    assert [span.name for span in steps] == ["read", "render", chat, "judge", "append", "sync", "publish"]
    assert {span.parent_span_id for span in steps} == {root.span_id}
    ends = [span.end_time_unix_nano for span in steps]
    assert [root.start_time_unix_nano, *ends] == [
        *(span.start_time_unix_nano for span in steps),
        root.end_time_unix_nano,
    ]
    said = attributes(root.attributes)
    assert (said["llmctx.symbol"], said["llmctx.kind"], said["llmctx.verdict.action"]) == ("AAPL", "decision", "hold")
    assert attributes(spans["read"].attributes)["llmctx.sections.not_fresh"]  # most sections are missing
    assert (collector.resource["service.name"], collector.headers) == ("desk", ["secret"])


async def test_the_call_has_the_names_of_the_conventions_and_no_content(program: Program, valkey: Redis) -> None:
    (spans,) = (await traced(program, valkey)).traces()
    call = spans[f"chat {MODEL}"]
    said = attributes(call.attributes)
    assert call.kind == Span.SPAN_KIND_CLIENT
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "127.0.0.1",
        "gen_ai.request.model": MODEL,
        "gen_ai.response.model": MODEL,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.output.type": "json",
        "gen_ai.prompt.name": "position",
        "gen_ai.prompt.version": "4",
        "gen_ai.request.temperature": 0.0,
        "server.address": "127.0.0.1",
        "llmctx.call.attempts": 1,
    }
    assert {name: said.get(name) for name in expected} == expected
    assert said["gen_ai.usage.input_tokens"] > said["gen_ai.usage.output_tokens"] > 0
    assert not {"gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions"} & said.keys()
    (event,) = call.events
    assert event.name == "gen_ai.evaluation.result"
    judged = attributes(event.attributes)
    assert (judged["gen_ai.evaluation.name"], judged["gen_ai.evaluation.score.label"]) == ("grounding", "grounded")
    assert judged["gen_ai.evaluation.score.value"] == 1


async def test_content_is_sent_only_if_it_is_asked_for(program: Program, valkey: Redis) -> None:
    (spans,) = (await traced(program, valkey, LLMCTX_OTEL__CONTENT="true")).traces()
    said = attributes(spans[f"chat {MODEL}"].attributes)
    system, message = said["gen_ai.input.messages"]  # by this protocol instructions are a message like others
    assert (system["role"], system["parts"][0]["type"]) == ("system", "text")
    assert (message["role"], "Position in AAPL" in message["parts"][0]["content"]) == ("user", True)
    assert "gen_ai.system_instructions" not in said
    (answer,) = said["gen_ai.output.messages"]
    assert json.loads(answer["parts"][0]["content"])["action"] == "hold"


async def test_a_failed_call_is_an_error(program: Program, valkey: Redis) -> None:
    (spans,) = (await traced(program, valkey, LLMCTX_LLM__BASE_URL=DEAD, LLMCTX_LLM__MAX_ATTEMPTS="1")).traces()
    call = spans[f"chat {MODEL}"]
    assert call.status.code == Status.STATUS_CODE_ERROR
    assert attributes(call.attributes)["error.type"] == "unreachable"
    assert "publish" in spans  # the guardrails decided


async def test_a_collector_that_is_away_costs_no_decision(program: Program, valkey: Redis) -> None:
    await hold(valkey, "AAPL")
    program.environment |= {
        "LLMCTX_OTEL__ENDPOINT": "http://u:hunterTwo@127.0.0.1:1/hunterTwo", "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "3",  # time for a second try, before which it says where the first one failed
    }  # fmt: skip
    async with program.running(valkey) as process:
        assert (await program("decide", "AAPL")).code == 0
        async with asyncio.timeout(60):
            assert process.stderr is not None
            said = b""
            while b"/v1/traces" not in said:  # the exporter says where it failed
                said += await process.stderr.readline()
            ended = await program.stop(process)
    assert (ended.code, "hunterTwo" in said.decode() + ended.out + ended.err) == (0, False)


@pytest.mark.parametrize("name", ["ENDPOINTS", "CONTENTS"])
async def test_a_misspelt_setting_is_refused(dumb: Program, name: str) -> None:
    dumb.environment[f"LLMCTX_OTEL__{name}"] = "x"
    ended = await dumb("status")
    assert (ended.code, f"There is no setting LLMCTX_OTEL__{name}" in ended.err) == (2, True)
