"""A model, which is its own configuration, as JSON and back. A file can only name classes that are here already."""

import dataclasses
import json
import sys
from typing import Any

from convzoo.nn import Model

CLASS, FIELDS = "class", "fields"
OWN = ("parent", "name")


def to_json(model: Model) -> str:
    return json.dumps(spelled(model))


def spelled(value: Any) -> Any:
    """A field's value as what JSON has."""
    if isinstance(value, Model):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.name not in OWN}
        return {CLASS: label(type(value)), FIELDS: {name: spelled(inner) for name, inner in fields.items()}}
    if isinstance(value, type) and issubclass(value, Model):
        return {CLASS: label(value)}
    if names := getattr(value, "_fields", ()):  # a named tuple
        return {CLASS: label(type(value)), FIELDS: {name: spelled(getattr(value, name)) for name in names}}
    if isinstance(value, tuple | list):
        return [spelled(inner) for inner in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise ValueError(f"a field that is a {type(value).__name__} cannot be written: {value!r}")


def from_json(text: str) -> Model:
    """The model that ``to_json`` wrote.

    Raises:
      ValueError: it did not write this, or of classes or fields that are not here.
    """
    try:
        found = built(json.loads(text))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"there is no model in {text[:80]!r}: {error}") from error
    if not isinstance(found, Model):
        raise ValueError(f"there is no model in {text[:80]!r}")
    return found


def built(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(built(inner) for inner in value)
    if not isinstance(value, dict):
        return value
    known = known_classes()
    if value[CLASS] not in known:
        raise ValueError(f"there is no model class {value[CLASS]!r} here")
    kind = known[value[CLASS]]
    return kind(**{name: built(inner) for name, inner in value[FIELDS].items()}) if FIELDS in value else kind


def known_classes() -> dict[str, type]:
    """The model classes that were imported, and the named tuples in their modules, which are fields of theirs."""
    models = kinds(Model)
    beside = (each for module in {kind.__module__ for kind in models} for each in vars(sys.modules[module]).values())
    tuples = (
        each for each in beside if isinstance(each, type) and issubclass(each, tuple) and hasattr(each, "_fields")
    )
    return {label(kind): kind for kind in (*models, *tuples)}


def kinds(kind: type) -> list[type]:
    """Every class below ``kind`` that was imported."""
    return [each for child in kind.__subclasses__() for each in (child, *kinds(child))]


def label(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
