"""Write golden.json: after a constant of gengap/versions.py was raised, or for parts that have no numbers yet.

``make golden``. Numbers that are as stored keep their stored digits, so that another processor changes no line.
"""

import json
import sys
import tempfile
from pathlib import Path

from golden_run import (
    CONSTANTS,
    FILE,
    HERE,
    Numbers,
    compute,
    compute_raw,
    differences,
    probes_with,
    seal,
    versions_now,
)

from gengap.counting import count
from gengap.registry import REGISTRY
from gengap.studies.reading import read_yaml
from gengap.studies.study import load_study


def main() -> None:
    """Write the file; refuse changed numbers whose constant was not raised, and say what has no numbers."""
    before = json.loads(FILE.read_text())
    with tempfile.TemporaryDirectory() as folder:
        found = compute(Path(folder), REGISTRY["probe"])
        raw = compute_raw(Path(folder))
    now = versions_now()
    kept = before["raw data"] if before["versions"]["DATA"] == now["DATA"] else {}
    for kind, constant in CONSTANTS.items():
        found[kind] = _merged(kind, constant, before[kind], found[kind], before["versions"], now)
    for name in raw:
        raw[name] = _merged(name, "DATA", before["raw data"].get(name, {}), raw[name], before["versions"], now)
    content = {"versions": now, "seals": {}, "raw data": kept | raw, **found}
    content["seals"] = seals(content)
    FILE.write_text(json.dumps(content, indent=0) + "\n")
    for kind, names in not_covered(found).items():
        print(f"not covered: {kind} {', '.join(names)}")


def _merged(
    kind: str, constant: str, stored: Numbers, found: Numbers, before: dict[str, int], now: dict[str, int]
) -> Numbers:
    """What to store of a kind: as found, and as stored where that is the same."""
    changed = differences(stored, found)
    if changed and before[constant] == now[constant]:
        sys.exit(
            f"error: {count(len(changed), 'number')} of {kind} changed, e.g. {next(iter(changed.values()))}. "
            f"Raise {constant} in src/gengap/versions.py if that is meant, then run `make golden` again."
        )
    print(f"{kind}: {len(found)} numbers, {len(changed)} changed, {len(found.keys() - stored.keys())} new")
    return {name: stored[name] if name in stored and name not in changed else found[name] for name in found}


def seals(content: dict[str, dict[str, object]]) -> dict[str, str]:
    """The seals of all kinds of a golden file."""
    kinds = {**CONSTANTS, "raw data": "DATA"}
    return {kind: seal(kind, content["versions"][constant], content[kind]) for kind, constant in kinds.items()}


def not_covered(found: dict[str, Numbers]) -> dict[str, list[str]]:
    """Registered names by kind that the golden run does not use."""
    cells = [cell for name in ("networks", "probes") for cell in load_study(HERE / f"{name}.yaml").cells.values()]
    used = {
        kind: {getattr(cell, kind).name for cell in cells}
        for kind in ("dataset", "labels", "model", "init", "loss", "optimizer", "schedule")
    }
    used["probe"] = set(probes_with(found["probes"]))
    used["simulation"] = {point["simulation"] for point in read_yaml(HERE / "simulations.yaml").values()}
    missing = {kind: [name for name in REGISTRY[kind] if name not in names] for kind, names in used.items()}
    return {kind: names for kind, names in missing.items() if names}


if __name__ == "__main__":
    main()
