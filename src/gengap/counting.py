"""A number of things in a message, with the right form of the noun."""


def noun(number: int, word: str, many: str = "") -> str:
    """The word for so many things.

    Args:
        number: How many.
        word: What one is called.
        many: What several are called, where an ``s`` is not enough.
    """
    return word if number == 1 else many or f"{word}s"


def count(number: int, word: str, many: str = "") -> str:
    """As in ``1 cell``, ``2 cells``; arguments as of `noun`."""
    return f"{number:,} {noun(number, word, many)}"


def span(least: int, most: int, word: str) -> str:
    """As in ``1 draw``, ``3–5 draws``."""
    return count(most, word) if least == most else f"{least:,}–{count(most, word)}"
