"""Clusters of several nodes on this machine, one of which may hang on a cable that can be cut."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import ray
from ray.cluster_utils import Cluster

from experiments.faults import memory, network


@contextmanager
def nodes(n: int = 3, ray_config: Mapping[str, object] | None = None, **settings: object) -> Iterator[Cluster]:
    """Start a head without CPUs and some nodes of two, all with these settings of Ray's."""
    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": ray_config, **settings}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(n):
            cluster.add_node(num_cpus=2, **settings)
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


@contextmanager
def with_little_memory() -> Iterator[Cluster]:
    """Start nodes on which Ray ends workers once an eighth of the memory is gone that is there now."""
    now = memory.at_hand()
    threshold = 1 - 7 / 8 * now.available / now.total
    with nodes(ray_config={"memory_usage_threshold": threshold, "memory_monitor_refresh_ms": 100}) as cluster:
        yield cluster


@contextmanager
def with_branch() -> Iterator[Cluster]:
    """Start a head and two nodes, and a third one in a network of its own."""
    with network.branch() as branch, nodes(2, node_ip_address=branch.here) as cluster, branch.node_of(cluster):
        yield cluster
