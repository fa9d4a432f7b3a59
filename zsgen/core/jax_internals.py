"""The parts of JAX that have no public interface; no other module imports them.

`tests/test_jax_internals.py` checks that, and that they are still there.

- `coordination`: the client of the coordination service of
  `jax.distributed`. `multihost_utils` can only broadcast arrays, as collectives
  of devices: they need all processes at once, and wait forever for one that has
  failed. The service passes messages between processes of which some may be
  gone, before a device is used. `multihost_utils.reached_preemption_sync_point`
  depends on jax's own handler of SIGTERM, which hides the signal from runs of
  one process and from the handlers of users.
- `find_cluster`: the environment (a TPU pod, SLURM, Open MPI, Kubernetes) that
  `jax.distributed.initialize` would detect. It is needed before, because the
  processes compare themselves before jax starts.
- `has_devices`: whether jax has started its devices. All public functions that
  return devices start them, and so take a GPU from other processes.
"""

import warnings

from jax._src import clusters, distributed, xla_bridge

ClusterEnv = clusters.ClusterEnv
coordination = distributed.global_state


def has_devices() -> bool:
  """Returns whether jax has started its devices; starts none."""
  return xla_bridge.backends_are_initialized()


def find_cluster() -> type[ClusterEnv] | None:
  """Returns the cluster that jax detects, or None."""
  with warnings.catch_warnings():
    # In a container on Kubernetes, of a package that is not there.
    warnings.simplefilter("ignore")
    for cluster in ClusterEnv._cluster_types:
      if not cluster.opt_in_only_method and cluster.is_env_present():
        return cluster
  return None
