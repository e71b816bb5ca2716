"""The benchmark of the survey's networks, at toy size."""

from bench import survey_networks


def test_every_network_has_a_row():
    found = survey_networks.measured(toy=True, repeats=1)
    assert len(found) == len(survey_networks.CASES)
    assert all(row.ours > 0 and row.theirs > 0 for row in found)
    assert [row.case for row in survey_networks.measured(toy=True, repeats=1, only="lenet-5,")] == [
        "cpu/network=lenet-5,batch_size=128,pack=5,processes=1"
    ]


def test_every_share_of_weights_has_a_row_for_either_peer():
    found = survey_networks.pruned(toy=True, repeats=1)
    assert len(found) == 2 * len(survey_networks.LEFT)
    assert all(row.ours > 0 and row.theirs > 0 for row in found)
    assert len(survey_networks.pruned(toy=True, repeats=1, only="left=0.1,")) == 2
