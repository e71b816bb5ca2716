"""Wildcards with commas, from our writing of them to Snakemake's own reading."""

import shlex
import subprocess

from snakemake.target_jobs import parse_target_jobs_cli_args
from snakemake_interface_executor_plugins.utils import TargetSpec

from gengap.snakemake_support import wildcard_encoding

JOBS = [
    {"dataset": "gaussian,image_size=8,n_train=400"},
    {"study": "quickstart-reduced", "pack": "width=4,init=he,pack=0", "probe": "gradient"},
    {"study": "plain", "pack": "pack=0"},
    {"pack": "weight_decay=1e-4,init=balanced:geo+0.5,rate=50%,pack=0"},
    {},
]


def sent():
    return wildcard_encoding.encoded([TargetSpec("rule", wildcards) for wildcards in JOBS])


def test_snakemake_reads_what_was_sent():
    read = parse_target_jobs_cli_args(sent())
    assert [job.rulename for job in read] == ["rule"] * len(JOBS)
    assert [wildcard_encoding.decoded(job.wildcards_dict) for job in read] == JOBS


def test_a_shell_takes_it_for_plain_words_even_within_double_quotes():
    words = " ".join(repr(entry) for entry in sent())
    shell = subprocess.run(f'printf %s "{words}"', shell=True, capture_output=True, text=True, check=True)
    assert shlex.split(shell.stdout) == sent()
