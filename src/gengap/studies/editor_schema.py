"""The JSON schema of study files, from which an editor completes keys and names and marks mistakes."""

import json
from typing import Any

from gengap.studies.names import REDUCED
from gengap.studies.sampling import SAMPLE, Range, Sample
from gengap.studies.settings import Cell
from gengap.studies.study import StudyFile


def schema() -> dict[str, Any]:
    """All keys with type, range, default and meaning; the names of all registered parts, plugins among them."""
    content = StudyFile.model_json_schema()
    content["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    content["title"] = "A study of gengap"
    del content["properties"]["base"]["default"]  # each section says its own
    dotted = _dotted_keys(content)
    content["$defs"]["Cell"]["properties"] |= dotted
    content["$defs"] |= {"Range": Range.model_json_schema(), "Sample": Sample.model_json_schema()}
    content["$defs"]["Axis"] = {"anyOf": [*_VALUES, {"$ref": "#/$defs/Range"}]}
    axes = {key: {"$ref": "#/$defs/Axis", "description": value["description"]} for key, value in dotted.items()}
    axes |= {key: {"$ref": "#/$defs/Axis"} for key in Cell.model_fields}
    axes[SAMPLE] = {"$ref": "#/$defs/Sample"}
    axes["arm"] = {"type": "object", "description": _ARM, "additionalProperties": {"$ref": "#/$defs/Cell"}}
    content["$defs"]["Grid"] = {"type": "object", "properties": axes}
    grid = {"$ref": "#/$defs/Grid"}
    content["properties"]["grid"] |= {"anyOf": [grid, {"type": "array", "items": grid}]}
    content["properties"]["reduced"] = {
        "type": "object",
        "description": f"Values for `<study>{REDUCED}`: the same study on a small machine.",
        "properties": {key: {"$ref": f"#/properties/{key}"} for key in content["properties"]},
    }
    return content


def text() -> str:
    """The schema as it is kept in ``config/study.schema.json``."""
    return json.dumps(schema(), indent=1) + "\n"


_VALUES: list[dict[str, Any]] = [{"type": "array"}, {"type": "string", "pattern": r"^\d+\.\.\d+$"}]
_ARM = "Settings that change together, by the name of the arm."


def _dotted_keys(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The keys of all sections, as ``base`` and ``grid`` may spell them."""
    found = {}
    for section in Cell.model_fields:
        definition = content["$defs"].get(section.capitalize(), {})
        for settings in definition.get("anyOf", [definition]):
            for key, value in settings.get("properties", {}).items():
                found[f"{section}.{key}"] = {"description": "", **value}
    return found
