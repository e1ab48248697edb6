"""Pictures of molecules: what the decoder makes of known ones, and what it makes up.

A decoding is drawn on the coordinates of its true molecule, so that what differs stands out, and is drawn
even if it is no molecule: a carbon with five bonds says more than an empty frame. The labels hold no charges,
so a charged molecule that comes back exactly is drawn without them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.patches import Rectangle
from rdkit import Chem
from rdkit.Chem import rdDepictor
from rdkit.Chem.Draw import rdMolDraw2D

from jointdec.problems.molecules.generation import NONE, canonical_smiles
from jointdec.problems.molecules.sizes import NODES
from jointdec.problems.molecules.smiles import to_molecule

Labels = npt.NDArray[np.uint8]
Graphs = tuple[Labels, Labels]

DPI = 150
WIDTH, HEIGHT, CAPTION, TITLE, GAP = 340, 220, 56, 60, 16  # pixels
COLUMNS, MOST_GENERATED = 4, 24
BOND = 1.5  # RDKit's length of a bond in a drawing
DIFFERENT = (0.95, 0.75, 0.45)  # a light shade of Okabe & Ito's orange: visible as grey, too


@dataclass(frozen=True)
class _Panel:
    """A molecule with coordinates, what stands below it, and the atoms and bonds that are shaded."""

    molecule: Any  # RDKit has no types
    caption: str
    atoms: Sequence[int] = ()
    bonds: Sequence[int] = ()


@dataclass(frozen=True)
class _Wrong:
    """Where a decoding differs: positions (9,), and pairs (9, 9) above the diagonal."""

    atoms: npt.NDArray[np.bool_]
    pairs: npt.NDArray[np.bool_]


def decoded_figure(smiles: Sequence[str], true: Graphs, decodings: Mapping[str, Graphs], title: str) -> Figure:
    """Draw true molecules, each with its decodings below; where they differ from it is shaded.

    With one decoding the difference is shaded in the true molecule, too.

    Args:
        smiles: the true molecules, as `Split.smiles` has them: their atoms are in the order of the labels.
        true: labels of the true molecules, (n, 9) and (n, 9, 9).
        decodings: name -> labels that a decoder chose, as `decode` gives them.
        title: what stands above.

    Returns:
        A figure, four molecules wide, at 150 dots per inch; ``figure.savefig(path)`` writes it.
    """
    cells = []
    for row, text in enumerate(smiles):
        graphs = {name: (nodes[row], edges[row]) for name, (nodes, edges) in decodings.items()}
        cells.append(_column(text, (true[0][row], true[1][row]), graphs))
    return _sheet(cells, title)


def save_decoded(smiles: Sequence[str], true: Graphs, decoded: Graphs, file: Path) -> None:
    """Keep what `decoded_figure` draws: arrays smiles, true/… and decoded/nodes|edges."""
    arrays = {"smiles": np.array(smiles, dtype=str)}
    for name, (nodes, edges) in {"true": true, "decoded": decoded}.items():
        arrays |= {f"{name}/nodes": nodes, f"{name}/edges": edges}
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # for NumPy's stub they might be allow_pickle


def generated_figure(counts: Mapping[str, int], title: str) -> Figure:
    """Draw the first 24 generated molecules.

    Args:
        counts: SMILES of valid molecules and how often each was generated, as `Generated.counts` has them.
        title: what stands above.

    Returns:
        A figure as `decoded_figure`'s; only its title if there is no molecule.
    """
    first = islice(counts.items(), MOST_GENERATED)
    return _sheet(
        [[_Panel(_from_smiles(smiles), f"{smiles}\n\N{MULTIPLICATION SIGN}{count}")] for smiles, count in first],
        title,
    )


def _column(smiles: str, true_graph: Graphs, decodings: Mapping[str, Graphs]) -> list[_Panel]:
    """The true molecule and its decodings, from top to bottom."""
    true = _from_smiles(smiles)
    panels = []
    for name, (nodes, edges) in decodings.items():
        decoded = to_molecule(nodes, edges)
        _lay_out_like(true, decoded, np.flatnonzero(nodes != NONE))
        wrong = _Wrong(true_graph[0] != nodes, np.triu(true_graph[1] != edges, k=1))
        panels.append(_Panel(decoded, f"{name}: {_verdict(nodes, edges, wrong)}", *_shaded(decoded, nodes, wrong)))
    shaded = _shaded(true, true_graph[0], wrong) if len(panels) == 1 else ((), ())
    return [_Panel(true, f"true: {smiles}", *shaded), *panels]


def _verdict(nodes: Labels, edges: Labels, wrong: _Wrong) -> str:
    if not wrong.atoms.any() and not wrong.pairs.any():
        return "exact"
    name = canonical_smiles(nodes, edges) or ("not a valid molecule" if (nodes != NONE).any() else "no atom")
    return f"{name}\n{9 - wrong.atoms.sum()} of 9 atoms, {36 - wrong.pairs.sum()} of 36 pairs right"


def _shaded(molecule: Any, nodes: Labels, wrong: _Wrong) -> tuple[list[int], list[int]]:  # noqa: ANN401
    """The atoms and bonds of this molecule that the other one has not."""
    positions = np.flatnonzero(nodes != NONE)
    ends = ((bond, positions[bond.GetBeginAtomIdx()], positions[bond.GetEndAtomIdx()]) for bond in molecule.GetBonds())
    atoms = [atom for atom, position in enumerate(positions) if wrong.atoms[position]]
    return atoms, [bond.GetIdx() for bond, i, j in ends if wrong.pairs[min(i, j), max(i, j)]]


def _from_smiles(smiles: str) -> Any:  # noqa: ANN401
    molecule = Chem.MolFromSmiles(smiles)
    Chem.Kekulize(molecule, clearAromaticFlags=True)
    rdDepictor.Compute2DCoords(molecule)
    return molecule


def _lay_out_like(true: Any, molecule: Any, positions: npt.NDArray[np.intp]) -> None:  # noqa: ANN401
    """Give each atom the place that its position has in the true molecule; what that lacks stands around it.

    RDKit's own layout raises on some graphs that are far from any molecule, so it is not asked.
    """
    known = true.GetConformer().GetPositions()
    distances = np.linalg.norm(known - known.mean(0), axis=1)
    angles = 2 * np.pi * (np.arange(NODES) + 0.5) / NODES  # position k of the circle, so that no two coincide
    circle = np.stack([np.cos(angles), np.sin(angles), np.zeros(NODES)], axis=1)
    places = known.mean(0) + (distances.max() + BOND) * circle
    places[: len(known)] = known
    conformer = Chem.Conformer(len(positions))
    conformer.SetPositions(places[positions])
    molecule.AddConformer(conformer)


def _sheet(cells: Sequence[Sequence[_Panel]], title: str) -> Figure:
    """Lay out cells of stacked panels in a grid, pixel by pixel: the drawings are not resampled."""
    stacked = max((len(cell) for cell in cells), default=1)
    cell_height = stacked * (HEIGHT + CAPTION) + GAP
    rows = -(-len(cells) // COLUMNS)
    width, height = COLUMNS * (WIDTH + GAP) + GAP, TITLE + rows * cell_height + GAP
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    FigureCanvasAgg(figure)
    figure.text(0.5, 1 - TITLE / 2 / height, title, ha="center", va="center", fontsize=11, fontweight="bold")
    for index, cell in enumerate(cells):
        row, column = divmod(index, COLUMNS)
        left, top = GAP + column * (WIDTH + GAP), height - TITLE - row * cell_height
        frame = (left / width, (top - cell_height + GAP) / height)
        size = (WIDTH / width, (cell_height - GAP) / height)
        figure.add_artist(Rectangle(frame, *size, transform=figure.transFigure, fill=False, edgecolor="0.8"))
        for panel in cell:
            figure.figimage(_drawing(panel), left, top - HEIGHT, zorder=-1)
            figure.text(
                (left + WIDTH / 2) / width,
                (top - HEIGHT) / height,
                panel.caption,
                ha="center",
                va="top",
                fontsize=8,
            )
            top -= HEIGHT + CAPTION
    return figure


def _drawing(panel: _Panel) -> npt.NDArray[np.float32]:
    """The molecule as pixels (HEIGHT, WIDTH, 4)."""
    molecule = Chem.Mol(panel.molecule)
    molecule.UpdatePropertyCache(strict=False)  # hydrogens, also where there are too many bonds
    Chem.FastFindRings(molecule)
    canvas = rdMolDraw2D.MolDraw2DCairo(WIDTH, HEIGHT)
    options: Any = canvas.drawOptions()
    options.prepareMolsBeforeDrawing = False  # it refuses what is no molecule
    options.padding = 0.1
    options.fixedBondLength = 36
    options.setHighlightColour(DIFFERENT)
    canvas.DrawMolecule(molecule, highlightAtoms=list(panel.atoms), highlightBonds=list(panel.bonds))
    canvas.FinishDrawing()
    pixels: npt.NDArray[np.float32] = imread(BytesIO(canvas.GetDrawingText()))
    return pixels
