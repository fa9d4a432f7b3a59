"""Each measures the project beside a peer, in the same run."""
