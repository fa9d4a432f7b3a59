"""Sweeps, and scripts that start runs on clusters.

`sweep` runs the points of a config; `render` writes the scripts of TPU VMs,
Kubernetes, SkyPilot and SLURM; `local` starts processes on one machine.
"""
