"""The command `gengap completion`: what a shell needs to complete commands, options and names of studies."""

import argparse
from typing import Any

import shtab

SHELLS = ("bash", "zsh")
# Names of files, so that no Python starts at each press of the key.
_STUDIES = {
    "bash": """
_gengap_studies() {
    local names
    names=$(for file in config/studies/*.yaml config/simulations/*.yaml; do
        [ -e "$file" ] || continue
        name=$(basename "$file" .yaml)
        echo "$name"
        if grep -q '^reduced:' "$file"; then echo "$name-reduced"; fi
    done)
    compgen -W "$names" -- "$1"
}
""",
    "zsh": """
_gengap_studies() {
    local -a names
    local file
    for file in config/studies/*.yaml(N) config/simulations/*.yaml(N); do
        names+=(${file:t:r})
        if grep -q '^reduced:' $file; then names+=(${file:t:r}-reduced); fi
    done
    compadd -a names
}
""",
}


def add_parser(commands: Any) -> None:
    """Add the command to those of `gengap`."""
    text = "Print what a shell needs to complete commands and studies"
    command = commands.add_parser("completion", help=text, description=f'{text}: eval "$(gengap completion bash)".')
    command.set_defaults(run=run)
    command.add_argument("shell", choices=SHELLS)


def run(options: argparse.Namespace) -> None:
    """Print the script of a shell."""
    from gengap.cli.main import parser

    whole = parser()
    _complete_studies(whole)
    print(shtab.complete(whole, options.shell, preamble=_STUDIES[options.shell]))


def _complete_studies(parser: argparse.ArgumentParser) -> None:
    """Let every argument that names studies or a file be completed."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _complete_studies(command)
        elif action.metavar in ("STUDY", "PAPER"):
            action.complete = dict.fromkeys(SHELLS, "_gengap_studies")  # type: ignore[attr-defined]
        elif action.metavar in ("FILE", "FOLDER"):
            action.complete = shtab.FILE if action.metavar == "FILE" else shtab.DIRECTORY  # type: ignore[attr-defined]
