"""The HTML report: what is in the one file that a browser opens."""

import base64
import re

SHOWN = re.compile(r'"data:([a-z]+/[a-z]+);charset=utf8;filename=([^;]+);base64,([^"]+)"')


def test_figures_and_tables_open_in_the_browser(workspace):
    """A CSV would be downloaded instead, so tables are pages."""
    status, output = workspace.run("tiny", "--report", "report.html")
    assert status == 0, output
    report = (workspace / "report.html").read_text(encoding="utf-8")
    shown = {name: (kind, base64.b64decode(data)) for kind, name, data in SHOWN.findall(report)}
    assert {name: kind for name, (kind, _) in shown.items()} == {
        "accuracy_by_width.png": "image/png",
        "final_performance.html": "text/html",
        "verdicts.html": "text/html",
    }
    folder = workspace / "results/tiny"
    assert shown["final_performance.html"][1] == (folder / "tables/final_performance.html").read_bytes()
    assert shown["accuracy_by_width.png"][1] == (folder / "figures/accuracy_by_width.png").read_bytes()
    # Without our style the upper part of a tall page cannot be reached.
    assert (workspace / "workflow/report/style.css").read_text(encoding="utf-8") in report
