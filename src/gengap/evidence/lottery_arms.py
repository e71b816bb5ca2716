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
    found = _NAME.fullmatch(arm)
    if not found or (kind := found["dense"] or found["kind"]) not in KINDS:
        return None
    network = found["network"]
    return (f"Conv-{network[-1]}" if network else ""), kind, int(found["round"] or 0)


def arm_of(arm: str, kind: str) -> str:
    """The name of the arm of another kind, of the same network and round."""
    found = _NAME.fullmatch(arm)
    if not found:
        raise ValueError(f"{arm} is no arm of a lottery")
    prefix = f"{found['network']}_" if found["network"] else ""
    return prefix + (kind if kind == "dense" else f"{kind}_{found['round']}")
