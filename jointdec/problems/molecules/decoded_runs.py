"""What runs made of the same test molecules, drawn from their artifacts decoded.npz."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from jointdec.comparing.figures import Plot
from jointdec.errors import UserError
from jointdec.problems.molecules.pictures import decoded_figure
from jointdec.reporting.runs import fetch
from jointdec.tracking.store import connect
from jointdec.tracking.uri import resolve_uri
from jointdec.training.state import read_arrays

FILE = "decoded.npz"


def picture(runs: pd.DataFrame, names: Mapping[str, str], uri: str | None, required: bool) -> Plot | None:
    """Draw the molecules, each above its decodings.

    Args:
        runs: rows of `load_runs`, with the run's id as index.
        names: id -> how the run is called.
        uri: the tracking store.
        required: whether a run without decoded molecules is an error; else it is left out.

    Returns:
        None if no run has any.

    Raises:
        UserError: a required run has none, or they are of other molecules than another run's.
    """
    client = connect(resolve_uri(uri))
    found = {}
    with TemporaryDirectory() as folder:
        for run_id, artifacts in runs["artifacts"].items():
            (Path(folder) / run_id).mkdir()
            file = fetch(client, run_id, artifacts, FILE, f"{folder}/{run_id}")
            if file is not None:
                found[run_id] = read_arrays(file)
            elif required:
                raise UserError(f"Run {run_id} has no artifact {FILE}: it has no molecules, or is a trial of a sweep.")
    if not found:
        return None
    first = next(iter(found.values()))
    alike = {run_id: one for run_id, one in found.items() if np.array_equal(one["smiles"], first["smiles"])}
    if required and len(alike) < len(found):
        raise UserError(
            "The runs in pictures were tested on other molecules than each other: choose runs of one data set."
        )
    decodings = {names[run]: (one["decoded/nodes"], one["decoded/edges"]) for run, one in alike.items()}
    smiles, true = first["smiles"].tolist(), (first["true/nodes"], first["true/edges"])
    listed = ", ".join(decodings)
    return Plot(
        "molecules",
        "Decoded molecules",
        f"The first test molecules, and what these runs make of them: {listed}. "
        "Shaded: what differs from the true one.",
        f"Drawings of {len(smiles)} test molecules, each above its decodings by {listed}.",
        decoded_figure(smiles, true, decodings, "Test molecules and their decodings"),
        pixels=True,
    )
