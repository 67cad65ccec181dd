"""The answers file beside a corpus (NAME.answers.jsonl): what an endpoint said, by the digest of what it was asked.

Rules of order: who keeps an answer holds a lock, reads the file again, writes a draft and puts it in the file's place.
So several runs lose nothing of one another, and nobody ever reads half a file.
"""

import fcntl
from pathlib import Path

from llmctx import canonical
from llmctx.errors import CorpusError
from llmctx.prompt.render import Prompt
from llmctx.prompt.template import Parameters


class Answers:
    """The answers kept beside a corpus."""

    def __init__(self, corpus: Path) -> None:
        self.path = corpus.with_suffix(".answers.jsonl")
        """The file; it need not be there."""
        self._corpus = corpus

    def bodies(self) -> dict[str, bytes]:
        """Each kept body, by the digest of its question.

        Raises CorpusError for a line that is no answer.
        """
        return {question: body for question, (_, body) in self._read().items()}

    def keep(self, prompt: Prompt, body: bytes) -> None:
        """Keep an answer; it takes the place of an earlier one to the same question.

        Raises CorpusError where the file cannot be read or written.
        """
        question = question_of(prompt.evidence, prompt.parameters)
        ref = f"{prompt.template}/v{prompt.version}"
        mine = canonical.dumps({"body": body.decode(), "prompt": ref, "question": question})
        draft = self.path.with_name(f"{self.path.name}.new")
        try:
            with self._corpus.open("rb") as lock:  # the corpus is there in any case: no lock file is left behind
                fcntl.flock(lock, fcntl.LOCK_EX)
                lines = [line for other, (line, _) in self._read().items() if other != question]
                draft.write_bytes(b"".join(line + b"\n" for line in [*lines, mine]))
                draft.replace(self.path)
        except OSError as error:
            raise CorpusError(
                f"{self.path} cannot be written: {error}.", "Record where files can be written."
            ) from error

    def _read(self) -> dict[str, tuple[bytes, bytes]]:
        """Line and body by question, in the file's order."""
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise CorpusError(f"{self.path} cannot be read: {error}.", "Name a file that can be.") from error
        found = {}
        for number, line in enumerate(lines, start=1):
            if line:
                question, body = self._answer(number, line)
                found[question] = line, body
        return found

    def _answer(self, number: int, line: bytes) -> tuple[str, bytes]:
        try:
            kept = canonical.loads(line)
            question, body = kept["question"], kept["body"]
            return str(question), body.encode()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CorpusError(
                f"Line {number} of {self.path} is no answer: {type(error).__name__}: {error}.",
                "Take the file from version control again, or remove the line and record its answer anew with "
                "--llmctx-live URL --llmctx-model NAME --llmctx-record.",
            ) from error


def question_of(messages: bytes, parameters: Parameters) -> str:
    """The digest of a question: the messages as sent, and what was asked for beside them."""
    return canonical.sha256(messages + b"\n" + parameters.model_dump_json(exclude_none=True).encode())
