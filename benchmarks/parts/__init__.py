"""Parts of the device check, each run in its own process by
`benchmarks.device`.
"""
