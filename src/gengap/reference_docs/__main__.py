"""`make docs`: write every generated page, the schema of study files, and the pictures that are missing, below docs/.

A picture shows the study `every_probe`, whose networks are those of the quickstart: where that has run, nothing is
trained. To have one drawn again, remove it.
"""

import argparse
import sys
from pathlib import Path

from gengap import layout
from gengap.errors import UserError
from gengap.files import storage
from gengap.reference_docs import probe_pages, probe_pictures, reference_page
from gengap.studies import editor_schema
from gengap.studies.study import load_study


def main(arguments: list[str] | None = None) -> int:
    """Write them; a user's mistake is one message and exit status 1."""
    parser = argparse.ArgumentParser(prog="python -m gengap.reference_docs", description=__doc__)
    parser.add_argument("--reduced", action="store_true", help="pictures of the study's reduced settings, for a trial")
    reduced = parser.parse_args(arguments).reduced
    docs = Path("docs")
    try:
        storage.write_text(docs / "reference.md", reference_page.markdown())
        storage.write_text(docs / "probes.md", probe_pages.markdown())
        storage.write_text(layout.STUDY_SCHEMA, editor_schema.text())
        known = probe_pages.ours()
        for picture in (docs / "probes").glob("*.png"):
            if picture.stem not in known:
                picture.unlink()
        if missing := [name for name in known if not (docs / "probes" / f"{name}.png").exists()]:
            study = load_study(layout.study_file("every_probe"), reduced=reduced)
            with probe_pictures.measured(study, missing) as evidence:
                probe_pictures.write(evidence, missing, docs / "probes")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
