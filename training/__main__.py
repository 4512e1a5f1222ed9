"""Train the reader: `python -m training [--data DIR] [--out DIR] [--minutes N | --steps N]`."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from torch.multiprocessing.spawn import spawn

from training.data import gather
from training.recipe import add_options
from training.train import Recipe, work


def main() -> None:
    """Gather the examples, then train; an interrupted run goes on from its checkpoint."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/datasets"))
    parser.add_argument("--more", type=Path, help="a folder with further data of the same forms")
    parser.add_argument("--out", type=Path, default=Path("training/run"))
    add_options(parser, Recipe)
    given = vars(parser.parse_args())
    data, more, out = given.pop("data"), given.pop("more"), given.pop("out")
    recipe = Recipe(**given)
    out.mkdir(parents=True, exist_ok=True)
    examples = gather(data, out, recipe.seed, more)
    with tempfile.TemporaryDirectory() as meeting:
        if recipe.workers == 1:
            work(0, examples, out, recipe, meeting)
        else:
            spawn(work, (examples, out, recipe, meeting), nprocs=recipe.workers)


if __name__ == "__main__":
    main()
