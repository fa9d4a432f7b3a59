"""What all layers share: config, artifacts, errors, mesh and processes."""
