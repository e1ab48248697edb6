from io import BytesIO

import numpy as np
import pytest
from matplotlib.image import imread

from jointdec.problems.molecules.pictures import COLUMNS, decoded_figure, generated_figure, save_decoded
from jointdec.training.state import read_arrays

SMILES = ["CCO", "CC#N", "CC(C)=O", "CCN", "C1CC1"]
CARBON, OXYGEN, NONE = 0, 1, 4


def true_graphs():
    """Labels of SMILES, by hand."""
    nodes = np.full((5, 9), NONE, np.uint8)
    for row, atoms in zip(nodes, ([0, 0, 1], [0, 0, 2], [0, 0, 0, 1], [0, 0, 2], [0, 0, 0]), strict=True):
        row[: len(atoms)] = atoms
    edges = np.zeros((5, 9, 9), np.uint8)
    edges[:, 0, 1], edges[:, 1, 2] = 1, [1, 3, 1, 1, 1]
    edges[2, 1, 3], edges[4, 0, 2] = 2, 1
    return nodes, edges + edges.transpose(0, 2, 1)


def captions(figure):
    return [text.get_text() for text in figure.texts]


def drawings(figure):
    return [image.get_array() for image in figure.images]


def ink(figure):
    """Share of pixels that are not white, after everything has really been drawn."""
    file = BytesIO()
    figure.savefig(file)
    file.seek(0)
    return float((imread(file)[..., :3].min(axis=-1) < 0.95).mean())


def shaded(drawing):
    return bool((np.abs(drawing[..., :3] - [0.95, 0.75, 0.45]).max(axis=-1) < 0.02).any())


def test_every_molecule_stands_above_its_decoding_and_what_is_right_is_said():
    nodes, edges = true_graphs()
    wrong_nodes, wrong_edges = nodes.copy(), edges.copy()
    wrong_nodes[1, 2] = CARBON
    wrong_edges[1, 1, 2] = wrong_edges[1, 2, 1] = 1
    wrong_edges[2, 1, 3] = wrong_edges[2, 3, 1] = 3
    figure = decoded_figure(SMILES, (nodes, edges), {"decoded": (wrong_nodes, wrong_edges)}, "title")
    title, *rest = captions(figure)
    assert title == "title"
    assert rest[0::2] == [f"true: {smiles}" for smiles in SMILES]
    assert rest[1::2] == [
        "decoded: exact",
        "decoded: CCC\n8 of 9 atoms, 35 of 36 pairs right",
        "decoded: not a valid molecule\n9 of 9 atoms, 35 of 36 pairs right",
        "decoded: exact",
        "decoded: exact",
    ]
    assert [shaded(drawing) for drawing in drawings(figure)] == [False, False, True, True, True, True] + 4 * [False]


def test_an_exact_decoding_looks_like_its_molecule():
    graphs = true_graphs()
    panels = drawings(decoded_figure(SMILES, graphs, {"decoded": graphs}, ""))
    for true, decoded in zip(panels[0::2], panels[1::2], strict=True):
        np.testing.assert_array_equal(true, decoded)


@pytest.mark.parametrize(
    ("atoms", "bond", "said"),
    [
        (np.full(9, NONE), 0, "no atom"),
        (np.full(9, NONE), 3, "no atom"),
        (np.full(9, CARBON), 3, "not a valid molecule"),
        (np.full(9, OXYGEN), 1, "not a valid molecule"),
        (np.full(9, OXYGEN), 0, "O.O.O.O.O.O.O.O.O"),
        (np.array([4, 4, 4, 4, 4, 4, 4, 4, 0]), 2, "C"),
        (np.array([0, 4, 1, 4, 0, 4, 2, 4, 3]), 2, "not a valid molecule"),
    ],
)
def test_every_graph_is_drawn_even_if_it_is_no_molecule(atoms, bond, said):
    nodes, edges = true_graphs()
    off_diagonal = (bond * (1 - np.eye(9))).astype(np.uint8)
    decoded = {"decoded": (atoms[None].astype(np.uint8), off_diagonal[None])}
    figure = decoded_figure(SMILES[:1], (nodes[:1], edges[:1]), decoded, "title")
    assert captions(figure)[2].splitlines()[0] == f"decoded: {said}"
    assert ink(figure) > 0


def test_several_decodings_stand_below_their_molecule_under_their_names():
    nodes, edges = true_graphs()
    wrong = nodes.copy()
    wrong[0, 2] = CARBON
    figure = decoded_figure(SMILES[:1], (nodes[:1], edges[:1]), {"a": (nodes, edges), "b": (wrong, edges)}, "")
    assert [text.splitlines()[0] for text in captions(figure)[1:]] == ["true: CCO", "a: exact", "b: CCC"]
    true, right, other = drawings(figure)
    assert shaded(other)
    assert not shaded(true)
    assert not shaded(right)


def test_what_is_kept_of_a_decoding_comes_back(tmp_path):
    true = true_graphs()
    decoded = true[0][::-1], true[1][::-1]
    save_decoded(SMILES, true, decoded, tmp_path / "decoded.npz")
    kept = read_arrays(tmp_path / "decoded.npz")
    assert kept["smiles"].tolist() == SMILES
    for name, graphs in {"true": true, "decoded": decoded}.items():
        np.testing.assert_array_equal(kept[f"{name}/nodes"], graphs[0])
        np.testing.assert_array_equal(kept[f"{name}/edges"], graphs[1])


def test_random_graphs_are_all_drawn():
    rng = np.random.default_rng(0)
    nodes, edges = true_graphs()
    pick = np.arange(40) % 5
    decoded = rng.integers(0, 5, (40, 9)).astype(np.uint8), rng.integers(0, 4, (40, 9, 9)).astype(np.uint8)
    figure = decoded_figure([SMILES[i] for i in pick], (nodes[pick], edges[pick]), {"decoded": decoded}, "")
    assert len(drawings(figure)) == 80


def test_charges_are_drawn_in_the_true_molecule():
    nodes, edges = np.full((1, 9), NONE, np.uint8), np.zeros((1, 9, 9), np.uint8)
    nodes[0, :2], edges[0, 0, 1], edges[0, 1, 0] = (0, 1), 1, 1
    figure = decoded_figure(["C[O-]"], (nodes, edges), {"decoded": (nodes, edges)}, "")
    assert captions(figure)[1:] == ["true: C[O-]", "decoded: exact"]


def test_the_first_24_generated_molecules_are_drawn_with_their_counts():
    counts = {"C" * (i % 9 + 1) + ("O" if i > 8 else "") + ("N" if i > 17 else ""): 30 - i for i in range(27)}
    figure = generated_figure(counts, "24 of 27")
    assert captions(figure) == ["24 of 27"] + [f"{s}\n×{n}" for s, n in list(counts.items())[:24]]  # noqa: RUF001 (times)
    assert len(drawings(figure)) == 24


def test_captions_do_not_leave_their_columns():
    figure = generated_figure(
        dict.fromkeys(["N#CC12C3C4C1N4C32", "[H]/N=C1/C=NC(=O)N1C", "OC1C2C3OC1C23", "CC.CO"], 1000), ""
    )
    ink(figure)
    for text in figure.texts[1:]:
        assert text.get_window_extent().width < figure.bbox.width / COLUMNS


def test_where_no_molecule_was_generated_only_the_title_is_left():
    figure = generated_figure({}, "0 valid molecules")
    assert captions(figure) == ["0 valid molecules"]
    assert ink(figure) > 0
