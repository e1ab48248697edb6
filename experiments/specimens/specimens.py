"""Runs the source's attempts one after another and writes the page on them, README.md.

python experiments/specimens/specimens.py                          ten epochs each, about five minutes
python experiments/specimens/specimens.py --quick --output FOLDER  two epochs each, the page in another folder
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from attempts import ATTEMPTS, Result
from figure import draw
from mlflow import MlflowClient
from page import page

HERE = Path(__file__).parent
METRICS = ("node_accuracy", "edge_accuracy", "exact")


def main() -> None:
    """Run, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two epochs each")
    parser.add_argument("--output", type=Path, default=HERE, help="folder of README.md and results/")
    arguments = parser.parse_args()
    epochs = 2 if arguments.quick else 10
    results = {attempt.name: run(attempt.name, epochs) for attempt in ATTEMPTS}
    folder = arguments.output / "results"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("attempt", "outcome", "finding", *METRICS))
        for name, (summary, curves) in results.items():
            last = [curves[metric][-1] if curves[metric] else "" for metric in METRICS]
            table.writerow((name, summary["outcome"], summary.get("finding", {}).get("kind", ""), *last))
    draw({name: result.curves for name, result in results.items()}, folder / "curves.png")
    (arguments.output / "README.md").write_text(page(results, epochs), encoding="utf-8")


def run(name: str, epochs: int) -> Result:
    """One attempt as a user starts it."""
    print(f"specimens: {name}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        uri = f"sqlite:///{folder}/mlflow.db"
        command = [sys.executable, "-m", "jointdec.run", f"+experiment=source/{name}", f"training.epochs={epochs}"]
        command += [f"tracking.uri={uri}", "tracking.log_model=false", "hydra.run.dir=out"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"specimens: {name} ended with exit code {done.returncode}:\n{done.stderr[-3000:]}")
        summary = json.loads((Path(folder) / "out" / "summary.json").read_text())
        client = MlflowClient(uri)
        curves = {}
        for metric in METRICS:
            history = client.get_metric_history(summary["run_id"], f"val/{metric}")
            curves[metric] = [point.value for point in sorted(history, key=lambda point: point.step)]
        return Result(summary, curves)


if __name__ == "__main__":
    main()
