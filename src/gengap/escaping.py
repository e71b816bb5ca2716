"""Text from study files and other people, where it must be text and nothing else: a terminal, a report."""

import re
import unicodedata

_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # control characters, marks that turn or hide text, line separators
_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")  # letters and marks without a picture


def invisible(text: str) -> str:
    """The first character that is not seen but changes what is, other than a line break or a tab; empty if none."""
    return next(
        (
            sign
            for sign in text
            if (unicodedata.category(sign) in _INVISIBLE or sign in _FILLERS) and sign not in "\n\t"
        ),
        "",
    )


def printable(text: str) -> str:
    """Text for a terminal: control characters, which may move its cursor or hide a line, become escapes."""
    if not invisible(text):
        return text
    return "".join(ascii(sign)[1:-1] if invisible(sign) else sign for sign in text)


def rst(text: str) -> str:
    """Text as reStructuredText that shows it as it is: no markup, no directive, paragraphs kept.

    Without this an unmatched backtick swallows lines of the report, and ``.. include::`` shows any file.
    """
    return "\n\n".join(rst_line(one) for one in re.split(r"\n\s*\n", text.strip()))


def rst_line(text: str) -> str:
    """The same in one line: its start is no bullet, number, field or directive, its end announces no literal block."""
    line = re.sub(r"([\\`*_|\[\]<>:])", r"\\\1", " ".join(printable(text).split()))
    line = re.sub(r"(https?)\\:", r"\1:", line)  # addresses stay links
    return re.sub(r"^(\w{1,5}(?=[.)])|(?=[^\w\\]))", r"\1\\", line)
