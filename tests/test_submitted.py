"""Wildcards with commas, from Snakemake's own writing of them to ours."""

from snakemake_interface_executor_plugins.utils import TargetSpec, encode_target_jobs_cli_args

from gengap import submitted


def test_reads_what_snakemake_writes():
    jobs = [
        {"dataset": "gaussian,image_size=8,n_train=400"},
        {"study": "quickstart-reduced", "pack": "width=4,init=he,pack=0", "probe": "gradient"},
        {"study": "plain", "pack": "pack=0"},
        {},
    ]
    written = encode_target_jobs_cli_args([TargetSpec("rule", wildcards) for wildcards in jobs])
    call = ["snakemake", "--snakefile", "a,b=c", "--target-jobs", *written, "--allowed-rules", "train", "x:y=z"]
    assert submitted.wildcards(call) == jobs


def test_a_call_by_hand_has_none():
    assert submitted.wildcards(["snakemake", "quickstart", "--config", "store=a,b"]) == []
