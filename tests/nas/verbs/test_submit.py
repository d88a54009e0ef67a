"""What a cluster is given to run; `tests/nas/executors/test_ray_jobs.py` lets one run it."""

from pathlib import Path

import pytest

from nas.verbs.submit import _job


@pytest.mark.parametrize("output", [["--output", "s3://runs/x"], ["--output=s3://runs/x"], ["--config", "s3://runs/x"]])
def test_a_job_whose_output_is_at_a_url_needs_no_directory(output: list[str]) -> None:
    assert _job("search", *output) == (f"python -m nas search {' '.join(output)} --address auto", None)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--output", "x"],
        ["--supernet", "s3://runs/x", "--output", "x"],
        ["--config", "s3://runs/x", "--output", "x"],
        ["--output"],
    ],
)
def test_a_job_with_paths_runs_where_it_was_submitted(arguments: list[str]) -> None:
    assert _job("search", *arguments)[1] == Path.cwd()


def test_a_job_evaluates_on_the_cluster_unless_it_is_told_otherwise() -> None:
    for address in (["--address", "head:6379"], ["--cluster.address=head:6379"]):
        assert _job("search", *address)[0] == f"python -m nas search {' '.join(address)}"
    assert _job("show", "--run", "x")[0] == "python -m nas show --run x"
