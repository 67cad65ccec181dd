"""Find a value in a document by its path: a plain one is walked, any other is a JMESPath expression."""

import re
from functools import lru_cache
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

_PLAIN = re.compile(r"[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*|\[\d{1,6}\])*\Z", re.ASCII)
_STEP = re.compile(r"[\w-]+")


def check_path(path: str) -> None:
    """Raises ValueError if the text is neither a plain path nor a JMESPath expression."""
    if _PLAIN.match(path) is None:
        _compiled(path)


def find(path: str, document: Any) -> Any:
    """The value at a path, None if there is none.

    Raises ValueError if a JMESPath expression cannot be evaluated on this document.
    """
    if _PLAIN.match(path) is None:
        return _evaluated(path, document)
    for step in _steps(path):
        if isinstance(document, dict):
            document = document.get(step)
        elif isinstance(document, list) and step.isdecimal() and int(step) < len(document):
            document = document[int(step)]
        else:
            return None
    return document


@lru_cache(maxsize=1024)
def _steps(path: str) -> tuple[str, ...]:
    return tuple(_STEP.findall(path))


@lru_cache(maxsize=1024)
def _compiled(path: str) -> Any:
    try:
        return jmespath.compile(path)
    except JMESPathError as error:
        raise ValueError(f"{path!r} is not a JMESPath expression: {str(error).splitlines()[0]}") from error


def _evaluated(path: str, document: Any) -> Any:
    try:
        return _compiled(path).search(document)
    except JMESPathError as error:
        raise ValueError(f"{path!r} cannot be evaluated: {str(error).splitlines()[0]}") from error
