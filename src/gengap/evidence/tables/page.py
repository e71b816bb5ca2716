"""A table as one self-contained HTML page, which the report shows."""

import base64
from collections.abc import Iterable
from html import escape

import pandas as pd

LONG = 40  # characters of a text that may be broken

_PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 13px/1.4 system-ui, sans-serif; color: #222; margin: 1.5rem; }}
h1 {{ font-size: 1.2rem; }}
table {{ border-collapse: collapse; }}
th {{ position: sticky; top: 0; background: #fff; box-shadow: 0 1px #222; vertical-align: bottom; }}
th, td {{ padding: 0.3rem 1.2rem 0.3rem 0; text-align: left; }}
td {{ border-bottom: 1px solid #ddd; vertical-align: top; white-space: nowrap; font-variant-numeric: tabular-nums; }}
tfoot td {{ border: 0; color: #555; white-space: normal; }}
td.long {{ white-space: normal; min-width: 30rem; }}
tr:hover td {{ background: #f3f6f8; }}
</style>
<h1>{title}</h1>
{table}
<p><a download="{name}.csv" href="data:text/csv;base64,{csv}">The numbers as CSV</a></p>
</html>
"""


def page(name: str, title: str, shown: pd.DataFrame, csv: str, note: str = "") -> str:
    """Write a table as HTML.

    Args:
        name: Of the file to download.
        title: Heading of the page.
        shown: What is shown, as text; no rows give a sentence instead.
        csv: Its numbers, which the page offers for download.
        note: A line below the rows.
    """
    rows = [_row("th", shown.columns), *(_row("td", row) for row in shown.itertuples(index=False, name=None))]
    rows += [f"<tfoot><tr><td colspan={len(shown.columns)}>{escape(note)}</td></tr></tfoot>"] if note else []
    table = (
        "<table>\n" + "\n".join(rows) + "\n</table>"
        if len(shown)
        else f"<p>There is nothing to show. {escape(note)}</p>"
    )
    data = base64.b64encode(csv.encode()).decode()
    return _PAGE.format(name=escape(name), title=escape(title), table=table, csv=data)


def _row(tag: str, texts: Iterable[str]) -> str:
    cells = (f"<{tag}{' class=long' if len(text) > LONG else ''}>{escape(text)}</{tag}>" for text in texts)
    return f"<tr>{''.join(cells)}</tr>"
