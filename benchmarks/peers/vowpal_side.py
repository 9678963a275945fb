"""Vowpal Wabbit's half of `online_learning`: its own driver on a file, in an environment with nothing of Winnow.

The file is read as text once, which leaves a cache of parsed rows; what is compared is the run from that cache.
"""

import json
import sys
import time

from vowpalwabbit import Workspace

OURS = "--ftrl --loss_function logistic --noconstant --holdout_off --quiet"
ADAPTIVE = "--loss_function logistic --noconstant --holdout_off --quiet"  # its default learner


def main(path: str, bits: str, rows: str, runs: str, *rates: str) -> None:
    """Prints one JSON object for each learner: examples a second and progressive log loss."""
    ftrl = dict(zip(("--ftrl_alpha", "--ftrl_beta", "--l1", "--l2"), rates, strict=True))
    for name, options in (("ftrl", OURS + "".join(f" {k} {v}" for k, v in ftrl.items())), ("default", ADAPTIVE)):
        command = f"{options} -b {bits} -d {path} --cache_file {path}.cache"
        spent, losses = [], []
        for _ in range(int(runs) + 1):  # the first makes the cache
            start = time.process_time()
            learner = Workspace(command)
            learner.finish()
            spent.append(time.process_time() - start)
            losses.append(learner.get_sum_loss() / int(rows))
        print(json.dumps({"learner": name, "seconds": spent, "log_loss": losses[-1]}), flush=True)


main(*sys.argv[1:])
