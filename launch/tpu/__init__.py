"""Runs jobs on TPU VMs through gcloud's queued resources; see `__main__`."""
