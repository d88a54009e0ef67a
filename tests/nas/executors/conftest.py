"""A cluster of two nodes on this machine, and evaluators whose workers can be told to die, hang or fail."""

from collections.abc import Iterator

import pytest
from ray.cluster_utils import Cluster

from nas.executors import ray_cluster  # noqa: F401  # settings that Ray reads as it is imported


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A head without CPUs, and two nodes of two, one of which has a device."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    cluster.add_node(num_cpus=2)
    cluster.add_node(num_cpus=2, resources={"device:pi": 1})
    yield cluster
    cluster.shutdown()
