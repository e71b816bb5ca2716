"""The command `gengap completion`: what a shell needs to complete commands, options and names of studies and parts."""

import argparse
from typing import Any

import shtab

from gengap.registry import REGISTRY, ROOMS

SHELLS = ("bash", "fish", "zsh")
# One script of the plain shell for all of them, given the words before the one to complete; no Python starts at each
# press of the key. It has no single quotes, between which every shell keeps it.
_NAMES = """
studies() {
    ls config/studies config/simulations 2> /dev/null | sed -n "s/\\.yaml\\$//p"
    grep -rl --include="*.yaml" "^reduced:" config/studies config/simulations 2> /dev/null |
        sed "s/.*\\///; s/\\.yaml\\$/-reduced/"
}
papers() { sed -n "s/^\\([a-z][a-z0-9_]*\\):.*/\\1\\n\\1-reduced/p" config/papers.yaml 2> /dev/null; }
axes() {
    sed -n "/^grid:/,/^[a-z]/s/^  *\\([a-z_.]*\\):.*/\\1/p" "config/studies/${1%-reduced}.yaml" 2> /dev/null |
        sed "s/.*\\.//; /^seed\\$/d; /^sample\\$/d"
}
parts() {
    case $1 in
PARTS
    *) return ;;
    esac
    ls "plugins/$folder" 2> /dev/null | sed -n "/^__/d; s/\\.py\\$//p"
}
asked=$1
shift
case $asked in
studies) studies ;;
papers) studies; papers ;;
axes) axes "$2" ;;
recorded) echo "train_loss test_loss train_accuracy test_accuracy lr l2_penalty" ;;
parts)
    case $1-$# in
    parts-2) parts "$2" ;;
    path-2) studies ;;
    path-*) parts "$(echo "$2" | sed "s/^page_//; s/_log\\$//")" ;;
    esac ;;
esac | tr " " "\\n"
"""
_CALLS = {
    "bash": """
_gengap_ask() {
    local asked=$1
    shift
    compgen -W "$(sh -c "$_gengap_names" sh "$asked" "${COMP_WORDS[@]:1:COMP_CWORD-1}")" -- "$1"
}
""",
    # Below a command, zsh has only its words.
    "zsh": """
_gengap_ask() {
    local -a names
    names=(${(f)"$(sh -c "$_gengap_names" sh "$1" "${words[@]:0:$((CURRENT - 1))}")"})
    compadd -a names
}
""",
    "fish": """
function _gengap_ask
    set -l typed (commandline -opc)
    sh -c "$_gengap_names" sh $argv[1] $typed[2..]
end
""",
}
_FUNCTIONS = {
    "bash": '_gengap_{name}() {{ _gengap_ask {name} "$1"; }}\n',
    "zsh": "_gengap_{name}() {{ _gengap_ask {name}; }}\n",
    "fish": "function _gengap_{name}; _gengap_ask {name}; end\n",
}
_ASKED = {
    "STUDY": "studies",
    "STUDY|PAPER": "papers",
    "TABLE|STUDY": "studies",
    "PAPER": "papers",
    "AXIS": "axes",
    "NAME": "parts",
    "QUANTITY": "recorded",
}


def add_parser(commands: Any) -> None:
    """Add the command to those of `gengap`."""
    text = "Print what a shell needs to complete commands, studies, probes and figures"
    command = commands.add_parser(
        "completion",
        help=text,
        description=f'{text}: eval "$(gengap completion bash)"; gengap completion fish | source.',
    )
    command.set_defaults(run=run)
    command.add_argument("shell", choices=SHELLS)


def run(options: argparse.Namespace) -> None:
    """Print the script of a shell."""
    from gengap.cli.main import parser

    whole = parser()
    _complete_names(whole)
    print(shtab.complete(whole, options.shell, preamble=preamble(options.shell)))


def preamble(shell: str) -> str:
    """The functions that list names."""
    parts = "\n".join(
        f'    {kind}) echo "{" ".join(name for name, entry in REGISTRY[kind].items() if not entry.external)}"; '
        f"folder={room} ;;"
        for kind, room in ROOMS.items()
    )
    script = _NAMES.replace("PARTS", parts)
    if shell == "fish":  # which takes a backslash before another one for a sign of its own
        script = "set -g _gengap_names '" + script.replace("\\", "\\\\") + "'"
    else:
        script = f"_gengap_names='{script}'"
    functions = "".join(_FUNCTIONS[shell].format(name=name) for name in dict.fromkeys(_ASKED.values()))
    return f"{script}\n{_CALLS[shell]}{functions}"


def _complete_names(parser: argparse.ArgumentParser) -> None:
    """Let every argument that names studies, parts or a file be completed."""
    new = parser.prog.endswith(" new")  # asks for a name that nothing has yet
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _complete_names(command)
        elif action.metavar in _ASKED and not new:
            function = f"_gengap_{_ASKED[str(action.metavar)]}"
            action.complete = {"bash": function, "zsh": function, "fish": f"({function})"}  # type: ignore[attr-defined]
        elif action.metavar in ("FILE", "FOLDER"):
            action.complete = shtab.FILE if action.metavar == "FILE" else shtab.DIRECTORY  # type: ignore[attr-defined]
