"""JobSets for Kubernetes: TPU slices and GPU nodes of GKE."""

from typing import Any

import yaml

from launch import accelerators
from launch import job as jobs
from zsgen.core import errors

FIELDS = (
    "name",
    "accelerator",
    "count",
    "image",
    "capacity",
    "queue",
    "volume",
    "restarts",
    "grace",
    "label",
    "env",
)
# The port of process 0, which the processes of GPU nodes connect to.
_PORT = 8476
_INDEX = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
# A pod that has saved and stopped, or whose node goes away, is made again and
# not counted. Bad input fails the job, and so the JobSet. All else ends the
# pods of all slices, which start again together, at most `restarts` times.
_POD_FAILURES = {
    "rules": [
        {
            "action": "FailJob",
            "onExitCodes": {
                "containerName": "zsgen",
                "operator": "In",
                "values": [2],
            },
        },
        {
            "action": "Ignore",
            "onExitCodes": {
                "containerName": "zsgen",
                "operator": "In",
                "values": [errors.STOPPED],
            },
        },
        {
            "action": "Ignore",
            "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
        },
    ]
}


def render(job: jobs.Job) -> str:
  """Returns the YAML of a JobSet.

  Args:
    job: the job; `count` is the number of slices or nodes.

  Raises:
    InputError: options are missing or do not fit each other.
  """
  jobs.require(job, "accelerator", "image", "command")
  accelerator = accelerators.find(job.accelerator)
  pods = job.count * getattr(accelerator, "hosts", 1)
  is_alone = pods == 1 and not job.restarts and job.capacity != "spot"
  jobs.check_storage(job, "volume", "" if is_alone else jobs.POD_DISK)
  if job.capacity == "reserved":
    raise errors.InputError(
        "--capacity=reserved: in GKE, a reservation belongs to a node pool."
        " Leave the option out, and name the reservation in the pool."
    )
  text = yaml.safe_dump(_build(job, accelerator), sort_keys=False, width=10_000)
  return f"# kubectl apply -f FILE\n{text}"


def _build(
    job: jobs.Job, accelerator: accelerators.Slice | accelerators.Node
) -> dict[str, Any]:
  """Returns a JobSet as nested dictionaries."""
  if isinstance(accelerator, accelerators.Slice):
    replicas, pods, role = job.count, accelerator.hosts, "slice"
  else:
    replicas, pods, role = 1, job.count, "node"
  labels = dict(label.split("=", 1) for label in job.label)
  if job.queue:
    labels["kueue.x-k8s.io/queue-name"] = job.queue
  metadata: dict[str, Any] = {"name": job.name}
  if labels:
    metadata["labels"] = labels
  if role == "slice":
    # The pods of a slice go to the nodes of one pool.
    metadata["annotations"] = {
        "alpha.jobset.sigs.k8s.io/exclusive-topology": (
            "cloud.google.com/gke-nodepool"
        )
    }
  return {
      "apiVersion": "jobset.x-k8s.io/v1alpha2",
      "kind": "JobSet",
      "metadata": metadata,
      "spec": {
          "failurePolicy": {
              "maxRestarts": job.restarts,
              "rules": [
                  {
                      "action": "FailJobSet",
                      "onJobFailureReasons": ["PodFailurePolicy"],
                  }
              ],
          },
          "replicatedJobs": [
              {
                  "name": role,
                  "replicas": replicas,
                  "template": {"spec": _job_spec(job, accelerator, pods)},
              }
          ],
      },
  }


def _job_spec(
    job: jobs.Job,
    accelerator: accelerators.Slice | accelerators.Node,
    pods: int,
) -> dict[str, Any]:
  """Returns the spec of a Kubernetes Job."""
  return {
      "parallelism": pods,
      "completions": pods,
      "completionMode": "Indexed",
      "backoffLimit": 0,
      "podFailurePolicy": _POD_FAILURES,
      "template": {"spec": _pod_spec(job, accelerator)},
  }


def _pod_spec(
    job: jobs.Job, accelerator: accelerators.Slice | accelerators.Node
) -> dict[str, Any]:
  """Returns the spec of a pod."""
  variables: list[dict[str, Any]] = [
      dict(zip(("name", "value"), variable.split("=", 1), strict=True))
      for variable in job.env
  ]
  spec: dict[str, Any] = {
      "restartPolicy": "Never",
      "terminationGracePeriodSeconds": job.grace,
  }
  if isinstance(accelerator, accelerators.Slice):
    # The hosts of several slices find each other faster without a pod network.
    spec |= {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
    selector = {
        "cloud.google.com/gke-tpu-accelerator": accelerator.tpu.label,
        "cloud.google.com/gke-tpu-topology": accelerator.topology,
    }
    limits = {"google.com/tpu": accelerator.chips_per_host}
  else:
    selector = {"cloud.google.com/gke-accelerator": accelerator.gpu.label}
    limits = {"nvidia.com/gpu": accelerator.gpus}
    variables += _addresses(job)
  if job.capacity == "spot":
    selector["cloud.google.com/gke-spot"] = "true"
    spec["tolerations"] = [
        {
            "key": "cloud.google.com/gke-spot",
            "operator": "Equal",
            "value": "true",
            "effect": "NoSchedule",
        }
    ]
  container: dict[str, Any] = {
      "name": "zsgen",
      "image": job.image,
      "command": list(job.command),
      "resources": {"limits": limits},
  }
  if variables:
    container["env"] = variables
  spec |= {"nodeSelector": selector, "containers": [container]}
  if job.volume:
    container["volumeMounts"] = [{"name": "shared", "mountPath": jobs.MOUNT}]
    spec["volumes"] = [
        {
            "name": "shared",
            "persistentVolumeClaim": {"claimName": job.volume},
        }
    ]
  return spec


def _addresses(job: jobs.Job) -> list[dict[str, Any]]:
  """Returns the variables by which the processes of GPU nodes connect.

  A JobSet gives the first pod of its first job this host name. On TPUs, GKE
  sets what jax needs.
  """
  first = f"{job.name}-node-0-0.{job.name}"
  if job.count == 1:
    return [{"name": "JAX_NUM_PROCESSES", "value": "1"}]
  return [
      {"name": "JAX_COORDINATOR_ADDRESS", "value": f"{first}:{_PORT}"},
      {"name": "JAX_NUM_PROCESSES", "value": str(job.count)},
      {
          "name": "JAX_PROCESS_ID",
          "valueFrom": {"fieldRef": {"fieldPath": _INDEX}},
      },
  ]
