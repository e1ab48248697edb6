"""How long ``jointdec.compare`` takes for 10, 100 and 1,000 runs of 1,000 steps, and in how much memory. Six minutes.

python experiments/compare_scale/compare_scale.py            writes results/scale.csv and the README's table
python experiments/compare_scale/compare_scale.py --quick    10 and 30 runs

The runs are recorded by jointdec's own tracker with made-up curves: training a thousand would take an hour and change
neither what is stored nor what is read.
"""

from __future__ import annotations

import argparse
import csv
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_dir

from jointdec.config import Config, conf_folder, parse
from jointdec.reporting.curve_arrays import save_curves
from jointdec.reporting.experiment import write_section
from jointdec.tracking import TrialOf, open_tracker
from jointdec.tracking.study_run import StudyRun, open_study_store
from jointdec.training.result import EpochResult

HERE = Path(__file__).parent
BEGIN, END = "<!-- scale: written by compare_scale.py -->", "<!-- end of scale -->"
SIZES, QUICK = (10, 30, 100, 300, 1000), (10, 30)
EPOCHS, STEPS = 20, 50  # a thousand steps
LOSSES = ("joint", "split", "tf_native")
LAYERS = [f"{head}_{number}" for head in ("nodes", "edges") for number in range(1, 5)] + ["edges_mixing"]
COLUMNS = ("runs", "seconds", "peak_mib")


def main() -> None:
    """Record, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few runs")
    parser.add_argument("--output", type=Path, default=HERE, help="folder of README.md and results/")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for size in QUICK if arguments.quick else SIZES:
            uri = f"sqlite:///{folder / f'{size}.db'}"
            record_runs(size, uri, folder / str(size))
            rows.append((size, *measure(uri, folder / f"comparison{size}")))
            print(*(f"{name} {value:.4g}" for name, value in zip(COLUMNS, rows[-1], strict=True)), flush=True)
    results = arguments.output / "results"
    results.mkdir(parents=True, exist_ok=True)
    with (results / "scale.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows((size, f"{seconds:.1f}", f"{peak:.0f}") for size, seconds, peak in rows)
    lines = ["| runs of 1,000 steps | seconds | peak memory, MiB |", "|---|---|---|"]
    lines += [f"| {size:,} | {seconds:.1f} | {peak:,.0f} |" for size, seconds, peak in rows]
    write_section("\n".join(lines), arguments.output / "README.md", BEGIN, END)


def record_runs(count: int, uri: str, folder: Path) -> None:
    """Runs of three formulations, as many seeds as it takes, as a sweep records its trials."""
    configs = {
        loss: compose_config(f"loss={loss}", f"tracking.uri={uri}", f"training.epochs={EPOCHS}") for loss in LOSSES
    }
    parent = StudyRun(open_study_store(configs["joint"].tracking), "scale", None).parent
    folder.mkdir()
    for number in range(count):
        loss, seed = LOSSES[number % len(LOSSES)], number // len(LOSSES)
        config = configs[loss]
        config.seed = seed
        with open_tracker(config, folder, [], TrialOf(parent, number, {"loss": loss, "seed": seed})) as tracker:
            results = epochs(np.random.default_rng([LOSSES.index(loss), seed]))
            for result in results:
                tracker.log_epoch(result)
            save_curves(results, folder / "curves.npz")
            tracker.log_artifact(folder / "curves.npz")
            tracker.set_tags({"jointdec.data_digest": "made up", "jointdec.devices": "none"})
            tracker.finish("finished")


def epochs(rng: np.random.Generator) -> list[EpochResult]:
    """Curves that fall, with noise of their own, which does not compress."""
    results = []
    for epoch in range(EPOCHS):
        at = np.arange(epoch * STEPS, (epoch + 1) * STEPS)
        steps = {name: np.exp(-at / 400) * rng.lognormal(0, 0.1, STEPS) for name in ("loss", "nodes", "edges")}
        norms = {name: np.exp(-at / 800) * rng.lognormal(0, 0.1, STEPS) for name in ("grad_norm", *LAYERS)}
        train = {name: float(values.mean()) for name, values in steps.items()}
        val = {name: value * 1.1 for name, value in train.items()}
        val |= {
            name: float(1 - np.exp(-epoch / 8) + rng.normal(0, 0.01))
            for name in ("node_accuracy", "edge_accuracy", "exact")
        }
        results.append(EpochResult(epoch, epoch * STEPS, steps, train, val, 0.2, at, norms))
    return results


def measure(uri: str, output: Path) -> tuple[float, float]:
    """Seconds of the whole command, and its peak resident memory in MiB."""
    start = time.perf_counter()
    command = [sys.executable, __file__, "compare", f"tracking.uri={uri}", f"output={output}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.perf_counter() - start, float(done.stdout.splitlines()[-1])


def compose_config(*overrides: str) -> Config:
    """What the command line would have composed."""
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return parse(compose("config", overrides=list(overrides)))


def compare(arguments: list[str]) -> None:
    """The command itself, which ends by telling its peak memory."""
    from jointdec.compare import run

    run(arguments)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    if sys.argv[1:2] == ["compare"]:
        compare(sys.argv[2:])
    else:
        main()
