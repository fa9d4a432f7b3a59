"""E3: nine distances of the examples so far, compared with the loss (sec. 3.2).

  python -m launch.sweep --config=configs/arrangement/prefixes.py:nano \
    --config.data.path=CLONE
  python -m zsgen.reports arrangement workdir

The runs are those of pilot.py, and are not trained again if that sweep is
finished in the same workdir. The distances of an order are measured when the
order is made (`config.order.trace_every`). Published: under cluster, the
minimum cosine distance drops when the loss does (R7), for one task from -0.60
to -0.86 at step 450 of 1,800. The page draws all nine distances below the loss.

smoke: 3 runs of 20 steps, about 70 seconds of CPU time.
nano: 9 runs of 60 steps, estimated 2 hours on 2 CPU cores if pilot.py has not
been run.
"""

import ml_collections

import zsgen

_pilot = zsgen.load_beside(__file__, "pilot.py")


def get_config(tier: str = "smoke") -> ml_collections.ConfigDict:
  """Returns a sweep over the three orders of the pilot.

  Args:
    tier: smoke, nano, mini or paper.
  """
  config = _pilot.get_config(tier)
  config.name = f"arrangement_prefixes_{tier}"
  return config
