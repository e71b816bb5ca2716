"""What the names of arms say in a study of lottery tickets: the network, the kind of pruning, and the round."""

import re

KINDS = {
    "dense": "whole network",
    "ticket": "tickets",
    "rewound": "rewound",
    "fresh": "fresh weights",
    "random": "random masks",
    "one_shot": "pruned at once",
}
_NAME = re.compile(r"(?:(?P<network>conv\d)_)?(?:(?P<dense>dense)|(?P<kind>[a-z_]+)_(?P<round>\d+))")


def kind_of(arm: str) -> tuple[str, str, int] | None:
    """Network (empty: the only one), kind and round of an arm; None if it is none of a lottery.

    `conv2_ticket_3` is the ticket of the third round of Conv-2, `dense` the whole network, of round 0.
    """
    match = _NAME.fullmatch(arm)
    if not match or (kind := match["dense"] or match["kind"]) not in KINDS:
        return None
    network = match["network"]
    return (f"Conv-{network[-1]}" if network else ""), kind, int(match["round"] or 0)


def arm_of(arm: str, kind: str) -> str:
    """The name of the arm of another kind, of the same network and round."""
    match = _NAME.fullmatch(arm)
    if not match:
        raise ValueError(f"{arm} is no arm of a lottery")
    prefix = f"{match['network']}_" if match["network"] else ""
    return prefix + (kind if kind == "dense" else f"{kind}_{match['round']}")
