"""The manifest in docs/cluster.md says what KubeRay's RayCluster (ray.io/v1) knows, and what it needs."""

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

PAGE = Path(__file__).parents[1] / "docs" / "cluster.md"


def record(required: str, optional: str = "", **properties: Any) -> dict[str, Any]:
    """Return the schema of a mapping with fields of these names, and no others; those not described may be anything."""
    names = [*required.split(), *optional.split()]
    assert properties.keys() <= set(names)
    return {
        "type": "object",
        "required": required.split(),
        "properties": {name: properties.get(name, {}) for name in names},
        "additionalProperties": False,
    }


def many(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item, "minItems": 1}


TEXT = {"type": "string"}
COUNT = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
TEXTS = {"type": "object", "additionalProperties": TEXT}
AMOUNT = r"^[0-9]+(\.[0-9]+)?([KMGTPE]i|[numkMGTPE])?$"
AMOUNTS = {"type": "object", "additionalProperties": {"type": ["string", "integer"], "pattern": AMOUNT}}

CONTAINER = record(
    "name image",
    "args command env envFrom imagePullPolicy lifecycle livenessProbe ports readinessProbe resources restartPolicy "
    "securityContext startupProbe stdin terminationMessagePath terminationMessagePolicy tty volumeDevices volumeMounts "
    "workingDir",
    name=TEXT,
    image=TEXT,
    env=many(record("name", "value valueFrom", name=TEXT, value=TEXT)),
    resources=record("", "claims limits requests", limits=AMOUNTS, requests=AMOUNTS),
    volumeMounts=many(
        record("mountPath name", "mountPropagation readOnly recursiveReadOnly subPath subPathExpr", mountPath=TEXT)
    ),
)
POD = record(
    "containers",
    "affinity hostNetwork imagePullSecrets initContainers nodeSelector priorityClassName restartPolicy securityContext "
    "serviceAccountName terminationGracePeriodSeconds tolerations topologySpreadConstraints volumes",
    containers=many(CONTAINER),
    volumes=many(
        record(
            "name",
            "configMap csi emptyDir ephemeral hostPath nfs persistentVolumeClaim projected secret",
            persistentVolumeClaim=record("claimName", "readOnly", claimName=TEXT),
        )
    ),
)
TEMPLATE = record("spec", "metadata", spec=POD)
# as in ray.io_rayclusters.yaml of KubeRay 1.5; rayStartParams are required by those before 1.4
CLUSTER = record(
    "headGroupSpec",
    "authOptions autoscalerOptions enableInTreeAutoscaling gcsFaultToleranceOptions headServiceAnnotations managedBy "
    "rayVersion suspend workerGroupSpecs",
    authOptions=record("", "mode", mode={"enum": ["disabled", "token"]}),
    autoscalerOptions=record(
        "",
        "env envFrom idleTimeoutSeconds image imagePullPolicy resources securityContext upscalingMode version "
        "volumeMounts",
        idleTimeoutSeconds=COUNT,
        upscalingMode={"enum": ["Default", "Aggressive", "Conservative"]},
    ),
    enableInTreeAutoscaling={"type": "boolean"},
    rayVersion=TEXT,
    headGroupSpec=record(
        "rayStartParams template",
        "enableIngress headService labels resources serviceType",
        rayStartParams=TEXTS,
        template=TEMPLATE,
    ),
    workerGroupSpecs=many(
        record(
            "groupName maxReplicas minReplicas rayStartParams template",
            "idleTimeoutSeconds labels numOfHosts replicas resources scaleStrategy suspend",
            groupName=TEXT,
            maxReplicas=COUNT,
            minReplicas=COUNT,
            replicas=COUNT,
            rayStartParams=TEXTS,
            template=TEMPLATE,
        )
    ),
)
SCHEMA = record(
    "apiVersion kind metadata spec",
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayCluster"},
    metadata=record("name", "annotations labels namespace", name=TEXT),
    spec=CLUSTER,
)


def manifest() -> dict[str, Any]:
    """Return what the page's block of YAML says, written out."""
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    document: dict[str, Any] = copy.deepcopy(yaml.safe_load(block))
    return document


def pods(document: dict[str, Any]) -> list[dict[str, Any]]:
    spec = document["spec"]
    return [group["template"]["spec"] for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"])]


def test_the_manifest_has_what_kuberay_knows_and_needs() -> None:
    jsonschema.validate(manifest(), SCHEMA)


def test_what_is_mounted_is_there_and_the_same_on_every_node() -> None:
    mounts = []
    for pod in pods(manifest()):
        (container,) = pod["containers"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
        assert container["resources"]["requests"] == container["resources"]["limits"]  # Ray counts with limits
        mounts.append((container["volumeMounts"], pod["volumes"], container["image"], container["env"]))
    assert all(mount == mounts[0] for mount in mounts)


def test_the_cluster_asks_for_a_token_and_grows_from_a_living_node() -> None:
    spec = manifest()["spec"]
    assert spec["authOptions"] == {"mode": "token"}
    assert spec["enableInTreeAutoscaling"]
    assert spec["headGroupSpec"]["rayStartParams"]["dashboard-host"] == "127.0.0.1"
    for group in spec["workerGroupSpecs"]:
        assert 1 <= group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda spec: spec["headGroupSpec"]["rayStartParams"].update({"num-cpus": 0}), "0 is not of type 'string'"),
        (lambda spec: spec.update(workerGroupSpec=[]), "workerGroupSpec"),
        (lambda spec: spec["workerGroupSpecs"][0].pop("minReplicas"), "'minReplicas' is a required property"),
        (lambda spec: spec["authOptions"].update(mode="tokens"), "'tokens' is not one of"),
        (
            lambda spec: pods({"spec": spec})[0]["containers"][0]["resources"]["limits"].update(memory="8 GB"),
            "'8 GB' does not match",
        ),
    ],
)
def test_what_kuberay_would_refuse_is_seen(spoil: Callable[[dict[str, Any]], object], said: str) -> None:
    document = yaml.safe_load(yaml.safe_dump(manifest()))
    spoil(document["spec"])
    with pytest.raises(jsonschema.ValidationError, match=re.escape(said)):
        jsonschema.validate(document, SCHEMA)
