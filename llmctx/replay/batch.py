"""OpenAI batch files: requests out in bulk, answers in, at half the price.

A line of the input names its request by `custom_id`: instance, partition, index and repeat of the record, and the first
digits of the digest of its messages, so that an answer to another prompt is never mistaken for one to this.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from llmctx import canonical
from llmctx.errors import ReplayError
from llmctx.llm.completion import Attempt, Completion, Outcome, read_completion
from llmctx.llm.output import OutputSchema
from llmctx.llm.profile import profile_of
from llmctx.llm.request import RequestPlan, plan_request
from llmctx.prompt.render import Prompt
from llmctx.replay.plan import ReplayRequest

URL = "/v1/chat/completions"
ENDPOINT = "batch"
OPENAI_URL = "https://api.openai.com/v1/"
_OK = 200
_MAX_ERROR_CHARS = 300


def custom_id(request: ReplayRequest, repeat: int) -> str:
    """Return the name of a request in a batch, at most 64 characters."""
    entry = request.entry
    assert request.prompt is not None
    digest = canonical.sha256(request.prompt.evidence)[:12]
    return f"{entry.origin.rpartition('/')[2][:16]}-{entry.partition}-{entry.index}-{repeat}-{digest}"


def batch_line(request: ReplayRequest, repeat: int) -> str:
    """Return the line of a batch input file for a request."""
    assert request.prompt is not None
    plan = _plan(request.model, request.prompt, request.output)
    body = json.loads(plan.body(plan.messages(request.prompt)))
    line = {"custom_id": custom_id(request, repeat), "method": "POST", "url": URL, "body": body}
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"))


class BatchAnswers:
    """The answers of batch output files, which include error files."""

    def __init__(self, paths: Iterable[Path]) -> None:
        """Raises ReplayError if a file cannot be read or is not a batch output."""
        self._lines = {line["custom_id"]: line for path in paths for line in _read(path)}

    def completer(self, request: ReplayRequest, repeat: int) -> "_BatchCompleter | None":
        """Return a completer with the answer to a request, None if the files do not answer it."""
        line = self._lines.get(custom_id(request, repeat))
        return None if line is None else _BatchCompleter(line, request.model)


class _BatchCompleter:
    def __init__(self, line: dict[str, Any], model: str) -> None:
        self._line = line
        self._model = model

    async def complete(self, prompt: Prompt, output: OutputSchema) -> Completion:
        plan = _plan(self._model, prompt, output)
        completion = self._read(plan.kept)
        return completion.model_copy(update={"messages": plan.messages(prompt), "asked": plan.blob})

    def _read(self, request: dict[str, Any]) -> Completion:
        response = self._line.get("response") or {}
        status, body = response.get("status_code"), response.get("body")
        raw = json.dumps(body).encode()
        if status == _OK and body is not None:
            return read_completion(raw, request, (Attempt("ok", 0, response.get("request_id")),))
        why = self._line.get("error") or body
        return Completion(
            outcome=Outcome.REJECTED,
            detail=f"batch, http {status}: {json.dumps(why)[:_MAX_ERROR_CHARS]}",
            request=request,
            attempts=(Attempt(f"http {status}", 0, response.get("request_id")),),
        )


def _plan(model: str, prompt: Prompt, output: OutputSchema) -> RequestPlan:
    """The request as OpenAI, whose batches these are, is asked."""
    return plan_request(ENDPOINT, model, profile_of(OPENAI_URL, model), prompt.parameters, output)


def _read(path: Path) -> Iterator[dict[str, Any]]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ReplayError(f"The batch output {path} cannot be read: {error.strerror}.", "Check the path.") from error
    for number, text in enumerate(raw.split(b"\n"), start=1):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
            line["custom_id"], line.get("response")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ReplayError(
                f"Line {number} of {path} is not a line of a batch output: {type(error).__name__}: {error}.",
                "Name the output file of a finished batch.",
            ) from error
        if "response" not in line and "error" not in line:
            raise ReplayError(
                f"Line {number} of {path} is a request of the batch, not an answer.",
                "Send that file to the provider, and name its output with --answers.",
            )
        yield line
