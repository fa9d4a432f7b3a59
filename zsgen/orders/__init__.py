"""Orders: which example is trained on at which step, as data."""
