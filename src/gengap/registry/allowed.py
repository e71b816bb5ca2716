"""What a setting may be, in words, from the JSON schema that its type declares."""

from collections.abc import Mapping, Sequence
from typing import Any

Schema = Mapping[str, Any]

_KINDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "null": "null",
}


def place(whole: Schema, location: Sequence[int | str]) -> tuple[str, Schema]:
    """The dotted key of one of pydantic's findings, and the schema of what stands there.

    Pydantic names the branch of a union as if it were a key, as in ``batch_size.constrained-int``; a user has no such
    key, and all branches are of one.

    Args:
        whole: Schema of the settings, as `pydantic.BaseModel.model_json_schema` gives it, which takes a while.
        location: Where pydantic found a mistake in them.

    Returns:
        Key, e.g. ``training.snapshots[2]``, and schema without references; empty for a key that there is not.
    """
    schema: Schema = _resolved(whole, whole)
    key = ""
    for part in location:
        branches = _branches(schema, whole)
        if isinstance(part, int):
            inner, ending = next((one["items"] for one in branches if "items" in one), None), f"[{part}]"
        else:
            inner, ending = next((found for one in branches if (found := _value_of(one, part))), None), f".{part}"
        if inner is not None:  # else the branch of a union
            key, schema = f"{key}{ending}".lstrip("."), _resolved(inner, whole)
    return key, {**schema, "$defs": whole.get("$defs", {})}


def words(schema: Schema) -> str:
    """What is allowed, e.g. ``a whole number from 1, or 'full'``."""
    branches = _branches(schema, schema)
    listed = dict.fromkeys(_words(one) for one in branches if not _is_listed(one))
    # Words listed beside any text are there for editors to offer.
    told = listed if _KINDS["string"] in listed else dict.fromkeys(map(_words, branches))
    return ", or ".join(told)


def listed(schema: Schema, text: str) -> bool:
    """Whether a text may be an item of a list that is allowed; of items with names of their own, one of these."""
    for branch in _branches(schema, schema):
        items = _branches(branch["items"], schema) if "items" in branch else []
        named = [word for one in items for word in one.get("enum", [one["const"]] if "const" in one else [])]
        if text in named or (not named and any(one.get("type") == "string" for one in items)):
            return True
    return False


def keys(schema: Schema) -> list[str]:
    """The keys of a section."""
    return sorted({key for one in _branches(schema, schema) for key in _properties(one)})


def _words(schema: Schema) -> str:
    if "enum" in schema or "const" in schema:
        return _listed([repr(value) for value in schema.get("enum", [schema.get("const")])])
    kind = schema.get("type")
    if kind == "array":
        least = schema.get("minItems", 0)
        return "a list" + (f" of at least {least}" if least else "")
    if "pattern" in schema:
        return "a range such as 0..9"
    if kind == "object" or "properties" in schema:
        return "keys and values"
    return _KINDS.get(str(kind), str(kind)) + _bounds(schema) if kind else "anything"


def _is_listed(schema: Schema) -> bool:
    return "enum" in schema or "const" in schema


def _bounds(schema: Schema) -> str:
    def bounds(word: str, key: str) -> list[str]:
        """Limits of a header's options are decimal, also those of whole numbers."""
        value = schema.get(key)
        return [] if value is None else [f"{word} {int(value) if value == int(value) else value:,}"]

    low = bounds("from", "minimum") + bounds("above", "exclusiveMinimum")
    high = bounds("to", "maximum") + bounds("below", "exclusiveMaximum")
    return "".join(f" {bound}" for bound in (low + high)) if low else "".join(f" up {bound}" for bound in high)


def _listed(values: Sequence[str]) -> str:
    return " or ".join(part for part in (", ".join(values[:-1]), values[-1]) if part)


def _branches(schema: Schema, whole: Schema) -> list[Schema]:
    """The alternatives of a schema, each resolved; null comes last."""
    schema = _resolved(schema, whole)
    if "anyOf" not in schema:
        return [schema]
    branches = [branch for one in schema["anyOf"] for branch in _branches(one, whole)]
    return sorted(branches, key=lambda one: one.get("type") == "null")


def _resolved(schema: Schema, whole: Schema) -> Schema:
    while "$ref" in schema:
        schema = whole["$defs"][schema["$ref"].rpartition("/")[2]]
    return schema


def _value_of(schema: Schema, key: str) -> Schema | None:
    """The schema of what stands at a key; of keys that a user names, of any."""
    more = schema.get("additionalProperties")
    return _properties(schema).get(key) or (more if isinstance(more, Mapping) else None)


def _properties(schema: Schema) -> Mapping[str, Schema]:
    properties: Mapping[str, Schema] = schema.get("properties", {})
    return properties
