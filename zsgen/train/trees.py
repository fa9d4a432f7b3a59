"""Types of parameters, as nested dictionaries by name."""

import jax
from jaxtyping import PyTree
import numpy as np

# On devices, or fetched to the host.
Params = PyTree[jax.Array | np.ndarray]
Shapes = PyTree[jax.ShapeDtypeStruct]
Shardings = PyTree[jax.sharding.Sharding]
