"""The batch file format of OpenAI: questions out in bulk, answers in, at half the price.

A line of the input names its question by `custom_id`: instance, partition, index and repeat of the record, and the
beginning of the digest of its messages, so that an answer to another prompt is never taken for this one.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from llmctx import canonical
from llmctx.errors import ReplayError
from llmctx.llm.completion import Attempt, Completion, Outcome, OutputSchema, read_completion
from llmctx.llm.request import body_of, kept
from llmctx.prompt.render import Prompt
from llmctx.replay.plan import Draft

URL = "/v1/chat/completions"
ENDPOINT = "batch"
_OK = 200


def custom_id(question: Draft, repeat: int) -> str:
    """What names a question in a batch, 64 characters at most."""
    entry = question.entry
    assert question.prompt is not None
    digest = canonical.sha256(question.prompt.evidence)[:12]
    return f"{entry.origin.rpartition('/')[2][:16]}-{entry.partition}-{entry.index}-{repeat}-{digest}"


def batch_line(question: Draft, repeat: int) -> str:
    """One request of a batch input file."""
    assert question.prompt is not None
    body = body_of(question.model, question.prompt, question.output)
    line = {"custom_id": custom_id(question, repeat), "method": "POST", "url": URL, "body": body}
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"))


class BatchAnswers:
    """The answers of a batch output file (and of its error file, where that is named too)."""

    def __init__(self, paths: Iterable[Path]) -> None:
        """Raises ReplayError where a file cannot be read, or is no batch output."""
        self._lines = {line["custom_id"]: line for path in paths for line in _read(path)}

    def __len__(self) -> int:
        """How many answers there are."""
        return len(self._lines)

    def completer(self, question: Draft, repeat: int) -> "_Answer | None":
        """Whoever answers a question from the file; None where the file does not."""
        line = self._lines.get(custom_id(question, repeat))
        return None if line is None else _Answer(line, question.model)


class _Answer:
    def __init__(self, line: dict[str, Any], model: str) -> None:
        self._line = line
        self._model = model

    async def complete(self, prompt: Prompt, output: OutputSchema) -> Completion:
        request = kept(ENDPOINT, self._model, prompt.parameters, output)
        response = self._line.get("response") or {}
        status, body = response.get("status_code"), response.get("body")
        raw = json.dumps(body).encode()
        if status == _OK and body is not None:
            return read_completion(raw, request, (Attempt("ok", 0, response.get("request_id")),))
        why = self._line.get("error") or body
        return Completion(
            outcome=Outcome.REJECTED,
            detail=f"batch, http {status}: {json.dumps(why)[:300]}",
            request=request,
            attempts=(Attempt(f"http {status}", 0, response.get("request_id")),),
        )


def _read(path: Path) -> Iterator[dict[str, Any]]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ReplayError(
            f"The batch output {path} cannot be read: {error.strerror}.", "Name the file you fetched."
        ) from error
    for number, text in enumerate(raw.split(b"\n"), start=1):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
            line["custom_id"], line.get("response")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ReplayError(
                f"Line {number} of {path} is no line of a batch output: {type(error).__name__}: {error}.",
                "Name the output file of a finished batch.",
            ) from error
        if "response" not in line and "error" not in line:
            raise ReplayError(
                f"Line {number} of {path} is a question of the batch, and no answer.",
                "Send that file to the provider, and name with --answers what comes back.",
            )
        yield line
