"""The answers file beside a corpus (NAME.answers.jsonl): answers of an endpoint, by the digest of the question.

To keep an answer: take the lock, read the file again, write a draft, rename it to the file. So concurrent runs lose no
answers, and readers never see an incomplete file.
"""

import fcntl
from pathlib import Path

from llmctx import canonical
from llmctx.errors import CorpusError
from llmctx.prompt.render import Prompt
from llmctx.prompt.template import Parameters


class AnswersFile:
    """The answers kept beside a corpus."""

    def __init__(self, corpus: Path) -> None:
        self.path = corpus.with_suffix(".answers.jsonl")
        """The file, which need not exist."""
        self._corpus = corpus

    def bodies(self) -> dict[str, bytes]:
        """Return the body of each answer, by the digest of its question.

        Raises CorpusError for a malformed line.
        """
        return {question: body for question, (_, body) in self._read().items()}

    def keep(self, prompt: Prompt, body: bytes) -> None:
        """Keep an answer, replacing an earlier one to the same question.

        Raises CorpusError if the file cannot be read or written.
        """
        question = question_of(prompt.evidence, prompt.parameters)
        ref = f"{prompt.template}/v{prompt.version}"
        line = canonical.dumps({"body": body.decode(), "prompt": ref, "question": question})
        draft = self.path.with_name(f"{self.path.name}.new")
        try:
            with self._corpus.open("rb") as lock:  # the corpus exists anyway, so no lock file is left behind
                fcntl.flock(lock, fcntl.LOCK_EX)
                lines = [kept for other, (kept, _) in self._read().items() if other != question]
                draft.write_bytes(b"".join(kept + b"\n" for kept in [*lines, line]))
                draft.replace(self.path)
        except OSError as error:
            raise CorpusError(
                f"{self.path} cannot be written: {error}.", "Check its folder and permissions."
            ) from error

    def _read(self) -> dict[str, tuple[bytes, bytes]]:
        """Return line and body by question, in file order."""
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise CorpusError(f"{self.path} cannot be read: {error}.", "Check its permissions.") from error
        found = {}
        for number, line in enumerate(lines, start=1):
            if line:
                question, body = self._parse(number, line)
                found[question] = line, body
        return found

    def _parse(self, number: int, line: bytes) -> tuple[str, bytes]:
        try:
            kept = canonical.loads(line)
            question, body = kept["question"], kept["body"]
            return str(question), body.encode()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CorpusError(
                f"Line {number} of {self.path} is not an answer: {type(error).__name__}: {error}.",
                "Restore the file from version control, or remove the line and record its answer again with "
                "--llmctx-live URL --llmctx-model NAME --llmctx-record.",
            ) from error


def question_of(messages: bytes, parameters: Parameters) -> str:
    """Return the digest of a question: the messages as sent, and the request parameters."""
    return canonical.sha256(messages + b"\n" + parameters.model_dump_json(exclude_none=True).encode())
