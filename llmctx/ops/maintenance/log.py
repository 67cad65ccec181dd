"""What a state directory remembers of maintenance: when each step was last done.

    STATE_DIR/maintenance/INSTANCE.json   the times by step, in milliseconds of the server's time
    STATE_DIR/maintenance/INSTANCE.lock   held while maintenance runs

The file decides only what is due. What was done stands in the trail.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llmctx.errors import MaintenanceError
from llmctx.ops.maintenance.schedule import STEPS, Step
from llmctx.private_files import exclusive_lock, make_private_directory, write_private


class MaintenanceLog:
    """When each step was last done."""

    def __init__(self, state_dir: Path, instance: str) -> None:
        self._file = state_dir / "maintenance" / f"{instance}.json"

    def done_ms(self) -> dict[Step, int]:
        """The time of each step that was ever done; a file that cannot be read counts as none."""
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        known = found if isinstance(found, dict) else {}
        return {step: known[step] for step in STEPS if type(known.get(step)) is int}

    def add(self, step: Step, at_ms: int) -> None:
        """Remember that a step is done.

        Raises OSError if the file cannot be written.
        """
        make_private_directory(self._file.parent)
        new = self._file.with_suffix(".new")
        write_private(new, json.dumps(self.done_ms() | {step: at_ms}))
        new.replace(self._file)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other maintenance of this state directory out.

        Raises MaintenanceError if there is one, OSError if the file cannot be used.
        """
        try:
            with exclusive_lock(self._file.with_suffix(".lock")):
                yield
        except BlockingIOError as error:
            raise MaintenanceError(
                "Maintenance of this state directory is running already.", "Wait until it is done.", exit_code=3
            ) from error
