"""How many trials a minute, and does a trial cost the same when there were many before? 15 minutes on 2 cores.

python experiments/sweep_speed/sweep_speed.py    writes results/ and the README's tables

Needs the extra "bench". Trials of 1,000 steps at batch 40 on the sample, in turn: jointdec.sweep with one worker and
with one a core, and the same trials as they are usually written (usual.py): a fresh Keras model a trial in one process,
and a process a trial. Then 500 short trials of one worker: seconds from one trial's start to the next one's, and the
worker's memory.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import optuna
import psutil
from hydra import compose, initialize_config_dir
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from jointdec.config import conf_folder, parse
from jointdec.problems.molecules.load import load
from jointdec.reporting.experiment import write_section

HERE = Path(__file__).parent
BEGIN, END = "<!-- results: written by sweep_speed.py -->", "<!-- end of results -->"
BATCH, STEPS = 40, 1000
ROUNDS, TRIALS, USUAL_TRIALS, PROCESSES = 3, 16, 4, 2
MANY = 500
WINDOWS = ((2, 20), (20, 100), (100, 200), (200, 300), (300, 400), (400, 500))
ALPHAS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
CORES = len(os.sched_getaffinity(0))


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few and short trials: whether it works, no measurement")
    parser.add_argument("--output", type=Path, default=HERE, help="folder of README.md and results/")
    given = parser.parse_args()
    rounds, trials, usual, processes, many = (
        (1, 3, 3, 1, 15) if given.quick else (ROUNDS, TRIALS, USUAL_TRIALS, PROCESSES, MANY)
    )
    epochs = 1 if given.quick else STEPS * BATCH // 4000
    with TemporaryDirectory() as name:
        folder = Path(name)
        data = _save_data(folder)
        seconds: dict[str, list[float]] = {}
        for _ in range(rounds):
            for workers in (1, CORES):
                took = jointdec_trials(folder, trials, epochs, workers)
                seconds.setdefault(f"jointdec.sweep, {workers} workers", []).append(took)
            seconds.setdefault("fresh Keras model a trial, one process", []).append(
                usual_trials(folder, data, usual, epochs)
            )
            seconds.setdefault("a process a trial", []).append(usual_processes(folder, data, processes, epochs))
        gaps, memory = many_trials(folder, many)
    results = given.output / "results"
    results.mkdir(parents=True, exist_ok=True)
    _write_csv(results, seconds, gaps, memory)
    text = "\n".join([*_speed_table(seconds, epochs * 4000 // BATCH), "", *_growth_table(gaps, memory)])
    print(text)
    if not given.quick:
        write_section(text, given.output / "README.md", BEGIN, END)


def jointdec_trials(folder: Path, trials: int, epochs: int, workers: int) -> float:
    """Seconds a trial, from the first end of a trial to the last one's: starting and compiling are over by then."""
    study = _sweep(folder, f"w{workers}-{time.time_ns()}", trials, epochs, workers)
    ends = sorted(trial.datetime_complete.timestamp() for trial in study.trials if trial.datetime_complete)
    first = workers - 1  # by then each worker has compiled, more or less
    return (ends[-1] - ends[first]) / (len(ends) - 1 - first)


def usual_trials(folder: Path, data: Path, trials: int, epochs: int) -> float:
    """Seconds from one job's start to the next one's; the first, which imports and warms up, does not count."""
    began = [
        begin for begin, _ in _usual(folder, data, ["-m", f"+alpha={','.join(map(str, ALPHAS[:trials]))}"], epochs)
    ]
    return (began[-1] - began[1]) / (len(began) - 2)


def usual_processes(folder: Path, data: Path, trials: int, epochs: int) -> float:
    """Seconds a process."""
    start = time.perf_counter()
    for alpha in ALPHAS[:trials]:
        _usual(folder, data, [f"+alpha={alpha}"], epochs)
    return (time.perf_counter() - start) / trials


def many_trials(folder: Path, trials: int) -> tuple[np.ndarray, np.ndarray]:
    """Seconds from each trial's start to the next one's, and the worker's memory in MiB about then."""
    memory: list[tuple[float, float]] = []
    study = _sweep(folder, "many", trials, 1, 1, memory)
    began = np.array([trial.datetime_start.timestamp() for trial in study.trials if trial.datetime_start])
    times, sizes = np.array(memory).T
    return np.diff(began), np.interp(began[1:], times, sizes)


def _sweep(  # noqa: PLR0913, PLR0917 (a command line)
    folder: Path, name: str, trials: int, epochs: int, workers: int, memory: list[tuple[float, float]] | None = None
) -> optuna.Study:
    overrides = ["loss=split", "+search=loss_weights_and_alpha", f"sweep.n_trials={trials}", f"sweep.workers={workers}"]
    overrides += [
        f"sweep.name={name}",
        "sweep.pruner=none",
        f"training.epochs={epochs}",
        f"training.batch_size={BATCH}",
    ]
    command = [sys.executable, "-m", "jointdec.sweep", *overrides]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            if memory is not None and (size := _largest_child(process.pid)):
                memory.append((time.time(), size / 2**20))
            time.sleep(0.5)
    assert process.returncode == 0
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(folder / "sweeps" / name / "study.journal")))
    return optuna.load_study(study_name=name, storage=storage)


def _usual(folder: Path, data: Path, overrides: Sequence[str], epochs: int) -> list[tuple[float, float]]:
    times = folder / "times.txt"
    times.unlink(missing_ok=True)
    fixed = ["+edges=2", "+seed=0", f"+data={data}", f"+uri=sqlite:///{folder}/usual.db", f"+times={times}"]
    fixed += ["+train=4000", f"+batch={BATCH}", f"+epochs={epochs}"]
    command = [sys.executable, str(HERE / "usual.py"), *overrides, *fixed]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return [tuple(map(float, line.split())) for line in times.read_text().splitlines()]  # type: ignore[misc]


def _largest_child(pid: int) -> int:
    try:
        return max((child.memory_info().rss for child in psutil.Process(pid).children(recursive=True)), default=0)
    except psutil.NoSuchProcess:
        return 0


def _save_data(folder: Path) -> Path:
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        dataset = load(parse(compose("config")).data)
    parts = [{"features": split.x, **split.y} for split in (dataset.train, dataset.val)]
    both = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    np.savez(folder / "data.npz", **both)
    return folder / "data.npz"


def _speed_table(seconds: dict[str, list[float]], steps: int) -> list[str]:
    usual = {name: np.array(values) for name, values in seconds.items() if not name.startswith("jointdec")}
    lines = [
        f"| {steps:,} steps a trial | seconds a trial | trials a minute | "
        + " | ".join(f"x {name}" for name in usual)
        + " |"
    ]
    lines.append("|---|---|---|" + "---|" * len(usual))
    for name, values in seconds.items():
        ratios = [f"{np.median(other / np.array(values)):.1f}" for other in usual.values()]
        spread = f"{np.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
        lines.append(f"| {name} | {spread} | {60 / np.median(values):.1f} | {' | '.join(ratios)} |")
    rounds = len(next(iter(seconds.values())))
    return [
        *lines,
        "",
        f"Medians of {rounds} interleaved rounds, lowest to highest in brackets, ratios within a round; {CORES} cores.",
    ]


def _growth_table(gaps: np.ndarray, memory: np.ndarray) -> list[str]:
    lines = ["| trials | seconds from one start to the next | worker's memory |", "|---|---|---|"]
    for first, last in WINDOWS:
        if last <= len(gaps) + 1:
            window = np.percentile(gaps[first:last], (25, 50, 75))
            seconds = f"{window[1]:.3f} ({window[0]:.3f} to {window[2]:.3f})"
            lines.append(f"| {first} to {last} | {seconds} | {memory[first:last].mean():.0f} MiB |")
    return [*lines, "", f"Trials of one epoch, {4000 // BATCH} steps; medians and quartiles."]


def _write_csv(results: Path, seconds: dict[str, list[float]], gaps: np.ndarray, memory: np.ndarray) -> None:
    with (results / "speed.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("contender", "round", "seconds_a_trial"))
        rows.writerows(
            (name, number, f"{value:.3f}") for name, values in seconds.items() for number, value in enumerate(values)
        )
    with (results / "growth.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("trial", "seconds_to_next", "memory_mib"))
        rows.writerows(
            (number, f"{gap:.3f}", f"{size:.0f}") for number, (gap, size) in enumerate(zip(gaps, memory, strict=True))
        )


if __name__ == "__main__":
    main()
