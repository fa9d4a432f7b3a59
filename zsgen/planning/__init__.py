"""Plans a run before it starts: memory, FLOPs and compiled programs."""
