"""The errors a user can cause: each is one message that says where, what, what is allowed and what to do."""

import difflib
import errno
import re
from collections.abc import Iterable, Sequence
from pathlib import PurePath

# What others call the same, without hyphens and in small letters.
_ALSO_CALLED = {
    "batch_size": ("bs", "batch", "minibatch", "minibatchsize"),
    "cross_entropy": ("ce", "nll", "softmax", "crossentropyloss", "logloss"),
    "epochs": ("numepochs", "nepochs", "maxepochs"),
    "he": ("kaiming", "kaimingnormal", "msra"),
    "lr": ("learningrate", "stepsize", "eta"),
    "mlp": ("fc", "dense", "fullyconnected"),
    "multistep": ("step", "steplr", "multisteplr"),
    "plateau": ("reducelronplateau", "reduceonplateau"),
    "seed": ("randomseed", "rngseed", "manualseed"),
    "squared": ("mse", "mseloss", "l2", "meansquarederror"),
    "weight_decay": ("wd", "l2penalty", "l2reg"),
    "xavier": ("glorot", "glorotnormal", "xaviernormal"),
}
_LIKE, _LIKE_WORD = 0.7, 0.65  # least likeness of two names, and of their words, for the one to be meant by the other


class UserError(Exception):
    """A mistake in the input. Only its message is shown, never a traceback."""


class UnreadableError(UserError):
    """The system could not read a file, which may be as sound as before: nothing that it holds is given up."""


# What the system refuses whatever the program: rights, space, a disk's error. Other numbers tell of a bug.
_REFUSALS = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EMFILE),
    *(errno.ENFILE, errno.ENOLCK, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.EBUSY, errno.ETIMEDOUT),
}

_LOOP = re.compile(r"Symlink loop from '(.*)'$")  # what `Path.resolve` says before Python 3.13


def refusal(error: Exception) -> UserError | None:
    """What to tell of an error of the system that no part of the program expected; None if it tells of a bug."""
    if (loop := _LOOP.match(str(error))) or getattr(error, "errno", None) == errno.ELOOP:
        name = loop[1] if loop else getattr(error, "filename", "")
        return UserError(f"{name}: is a link that leads back to itself. Remove it, or let it lead to a file or folder.")
    if not isinstance(error, OSError):
        return None
    if error.errno == errno.ENAMETOOLONG:
        return UserError(f"{str(error.filename)[:_LONGEST]} ...: this name is too long for a file. Give a shorter one.")
    if error.errno not in _REFUSALS:
        return None
    place = f"{error.filename}: " if error.filename is not None else ""
    return UserError(f"{place}{error.strerror}. Nothing that was finished is lost: run the same again afterwards.")


_LONGEST = 100  # letters of a value that a message shows
_LISTED = 100  # names that a message lists: all parts of a kind, and not all packs of a large study


def unknown_name(kind: str, name: object, allowed: Iterable[str], *, where: str = "") -> UserError:
    """Describe a name that does not exist, with the one that was meant if that is plain.

    Args:
        kind: What the name was taken for, e.g. ``"dataset"``.
        name: The name as the user wrote it.
        allowed: All names that exist.
        where: File and key, e.g. ``"config/studies/a.yaml: base.model.name"``; left out if empty.
    """
    choices = sorted(allowed)
    place = f"{where}: " if where else ""
    more = f" and {len(choices) - _LISTED:,} more" if len(choices) > _LISTED else ""
    listed = f"Choose from: {', '.join(choices[:_LISTED])}{more}." if choices else "There is none."
    return UserError(f"{place}unknown {kind} '{name}'.{hint(str(name), choices)} {listed}")


def spelled(value: object) -> str:
    """A value as it stands in YAML, cut short."""
    text = {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else ""
    text = text or repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


def hint(name: str, allowed: Iterable[str]) -> str:
    """The sentence `` Did you mean ...?``, or nothing."""
    return did_you_mean(nearest(name, allowed))


def did_you_mean(name: str) -> str:
    """The same of a name that is known to be meant; nothing of an empty one."""
    return f" Did you mean '{name}'?" if name else ""


def enumerated(words: Sequence[str]) -> str:
    """Words in a sentence: ``a, b and c``."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def nearest(name: str, allowed: Iterable[str]) -> str:
    """The name that is meant by one that does not exist; empty if that is not plain, since a wrong hint misleads.

    The name of a file stands for what the file holds. Names of cells are compared by key and value, and numbers as
    numbers: ``share=0`` is ``share=0.0`` and never ``share=0.4``. A dotted key is one of its own section, or the same
    key of another; a key alone that of the only section that has it. Words of the field stand for ours
    (``learning_rate`` for ``lr``), and initials for words (``fmnist`` for ``fashion_mnist``). All others are compared
    by spelling; a name that differs in its numbers alone, or has a letter in front of a whole one (``emnist``), is
    another name, not a slip.
    """
    choices = list(allowed)
    if name.endswith((".yaml", ".yml", ".csv", ".py")) and (stem := PurePath(name).stem) in choices:
        return stem
    if "=" in name:
        wanted = _values(name)
        return next((choice for choice in choices if _values(choice) == wanted), "")
    section, dot, key = name.rpartition(".")
    if dot:
        inside = [choice for choice in choices if choice.startswith(section + dot)]
        elsewhere = [choice for choice in choices if choice.rpartition(".")[2] == key]
        keys = [choice.removeprefix(section + dot) for choice in inside]
        own = _synonym(key, keys) or _best(key, keys)
        if own:
            return section + dot + own
        if not elsewhere and (meant := _synonym(key, [choice.rpartition(".")[2] for choice in choices])):
            elsewhere = [choice for choice in choices if choice.rpartition(".")[2] == meant]
        if inside or len(elsewhere) == 1:
            return elsewhere[0] if len(elsewhere) == 1 else ""
    meant = _synonym(name, [choice.rpartition(".")[2] for choice in choices])
    last = [choice for choice in choices if choice.rpartition(".")[2] == (meant or name)]
    if meant:
        return last[0] if len(last) == 1 else ""
    return _best(name, choices) or (last[0] if len(last) == 1 else "")


def _values(name: str) -> dict[str, float | str]:
    """The values in a cell's name by key; numbers as numbers."""
    return {key: _number(value) for key, _, value in (item.partition("=") for item in name.split(","))}


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _synonym(name: str, choices: Iterable[str]) -> str:
    """The choice that a word of the field stands for, or of whose words a name has the initials; empty if none."""
    plain = re.sub(r"[-_ ]", "", name.lower())
    for choice in choices:
        *first, last = choice.lower().split("_")
        initials = "".join(word[:1] for word in first) + last
        if plain in _ALSO_CALLED.get(choice, ()) or (first and plain == initials):
            return choice
    return ""


def _best(name: str, choices: Iterable[str]) -> str:
    likes = {choice: _likeness(name.lower(), choice.lower()) for choice in choices}
    most = max(likes.values(), default=0.0)
    best = [choice for choice, like in likes.items() if like == most]
    return best[0] if most >= _LIKE and len(best) == 1 else ""


def _likeness(name: str, choice: str) -> float:
    """From 0 to 1; 0 where the two differ in their numbers alone, in one of their words, or in letters in front."""
    if name == choice or (len(name) > 2 and sorted(name) == sorted(choice) and not re.search(r"\d", name)):
        return 1.0
    if re.sub(r"\d+", "0", name) == re.sub(r"\d+", "0", choice):
        return 0.0
    if re.fullmatch(rf"[a-z]+{re.escape(choice)}", name):
        return 0.0
    mine, theirs = re.split("[_-]", name), re.split("[_-]", choice)
    if len(mine) == len(theirs) > 1 and min(map(_spelled, mine, theirs)) < _LIKE_WORD:
        return 0.0
    return _spelled(name, choice)


def _spelled(one: str, other: str) -> float:
    if sorted(one) == sorted(other):
        return 1.0
    return difflib.SequenceMatcher(None, one, other).ratio()
