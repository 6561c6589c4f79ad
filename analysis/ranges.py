"""What the keys of a configuration may be: said at the fields of its schema, checked, and put into words."""

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import field
from typing import Any

from omegaconf import MISSING, ListConfig

KINDS = {int: "a whole number", float: "a number", bool: "true or false"}
BOUNDS = (("low", "at least"), ("above", "above"), ("below", "below"))


def one_of(*choices: str, default: Any = MISSING) -> Any:
    """A text field that takes one of a few words (an Enum would leak its class name into folder names)."""
    return field(default=default, metadata={"choices": choices})


def at_least(low: float, default: Any = MISSING, *, below: float | None = None) -> Any:
    """A number field with a range: low <= value, and value < below where given."""
    return field(default=default, metadata={"low": low, "below": below})


def between(above: float, below: float, default: Any = MISSING) -> Any:
    """A number field with a range: above < value < below."""
    return field(default=default, metadata={"above": above, "below": below})


def shaped(pattern: str, meaning: str, default: Any = MISSING) -> Any:
    """A text field that must match a pattern; `meaning` says in words what it takes."""
    return field(default=default, metadata={"pattern": pattern, "meaning": meaning})


def filled(default: Any = MISSING) -> Any:
    """A text field that must not be empty."""
    return field(default=default, metadata={"check": _empty, "meaning": "not empty"})


def _empty(key: str, value: str) -> str:
    return "" if value.strip() else f"{key}={value}: must not be empty"


def leaves(schema: type, prefix: str = "") -> Iterator[tuple[str, "dataclasses.Field[Any]"]]:
    """Every (dotted key, field) of a schema, nested ones included: `("protocol.lr", ...)`."""
    for item in dataclasses.fields(schema):
        nested = next(
            (part for part in _parts(item) if isinstance(part, type) and dataclasses.is_dataclass(part)), None
        )
        if nested is None:
            yield prefix + item.name, item
        else:
            yield from leaves(nested, f"{prefix}{item.name}.")


def _parts(item: "dataclasses.Field[Any]") -> tuple[Any, ...]:
    """The type of a field, and those that it is a union or a list of."""
    return (item.type, *getattr(item.type, "__args__", ()))


def described(item: "dataclasses.Field[Any]") -> str:
    """What a field may be, in words; empty where any text will do."""
    facts = item.metadata
    said = [*facts.get("choices", facts.get("entries", ())), *facts.get("words", ()), facts.get("meaning", "")]
    if not any(said):
        said = [KINDS[part] for part in _parts(item) if part in KINDS]
    said += [f"{word} {facts[name]:g}" for name, word in BOUNDS if facts.get(name) is not None]
    return ", ".join(filter(None, map(str, said)))


def problem(key: str, value: Any, metadata: Any) -> str | None:
    """What is wrong with a key's value, in one sentence; None where nothing is.

    Args:
        metadata: of the key's field: what it may be; `check` is a function of key and value in place of the rest.
    """
    if value is None or value in metadata.get("words", ()):
        return None
    if "check" in metadata:
        return str(said) if (said := metadata["check"](key, value)) else None
    if "entries" in metadata:
        wrong = [f"{key}.{name}={text}" for name, text in value.items() if text not in metadata["entries"]]
        return f"{', '.join(wrong)}: not one of {', '.join(metadata['entries'])}" if wrong else None
    choices = metadata.get("choices")
    values = value if isinstance(value, list | ListConfig) else [value]
    if choices and any(item not in choices for item in values):
        return f"{key}={value}: not one of {', '.join(map(str, choices))}"
    if "pattern" in metadata and not re.fullmatch(metadata["pattern"], value):
        return f"{key}={value}: not {metadata['meaning']}"
    return _out_of_range(key, value, metadata)


def _out_of_range(key: str, value: Any, metadata: Any) -> str | None:
    low, above, below = (metadata.get(name) for name, _ in BOUNDS)
    if (low, above, below) == (None, None, None):
        return None
    if not isinstance(value, int | float):
        return f"{key}={value}: not a number" + (f" or {', '.join(metadata['words'])}" if "words" in metadata else "")
    if low is not None and not value >= low:  # NaN is in no range
        return f"{key}={value}: must be at least {low}"
    if above is not None and not value > above:
        return f"{key}={value}: must be above {above:g}"
    if below is not None and not value < below:
        return f"{key}={value}: must be below {below:g}"
    return None
