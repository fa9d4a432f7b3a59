"""The type of arrays in annotations."""

import jax
import numpy as np

# Functions of arrays take NumPy's as well as JAX's.
Array = jax.Array | np.ndarray
