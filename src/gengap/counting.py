"""A number of things in a message, with the right form of the noun."""


def count(number: int, word: str, many: str = "") -> str:
    """As in ``1 cell``, ``2 cells``.

    Args:
        number: How many.
        word: What one is called.
        many: What several are called, where an ``s`` is not enough.
    """
    return f"{number:,} {word if number == 1 else many or word + 's'}"
