"""Arguments of the command line: a wrong one is refused by the words of its own command, with what is allowed."""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from gengap import escaping
from gengap.errors import UserError, unknown_name

MISTAKE = 2  # exit status of argparse


class Parser(argparse.ArgumentParser):
    """Refuses unknown commands, options and words; its subcommands are parsers of this class too."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Parse, and refuse what is left: the parser of all commands would not know the options of the one."""
        found, left = super().parse_known_args(args, namespace)
        if option := next((word for word in left if word.startswith("-") and len(word) > 1), ""):
            known = [name for action in self._actions for name in action.option_strings if name.startswith("--")]
            self._refuse(unknown_name("option", option.partition("=")[0], known, where=self.prog))
        if left:
            usage = " ".join(self.format_usage().split()).removeprefix("usage: ")
            self._refuse(UserError(f"{self.prog}: '{left[0]}' is one argument too many. Write: {usage}"))
        return found, left

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse a value that is no choice of an argument, as other names are refused."""
        choices: Sequence[Any] | None = None if action.choices is None else list(action.choices)
        if choices is not None and value not in choices:
            kind = "command" if isinstance(action, argparse._SubParsersAction) else action.dest.replace("_", " ")
            self._refuse(unknown_name(kind, value, [str(one) for one in choices], where=self.prog))

    def _refuse(self, error: UserError) -> NoReturn:
        self.exit(MISTAKE, f"error: {escaping.printable(str(error))}\n")
