import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jointdec.dataset import silent
from jointdec.problems.molecules import scattering
from jointdec.problems.molecules.load import SAMPLE
from jointdec.problems.molecules.records import read_records
from jointdec.problems.molecules.scattering import Encoder, scatter
from jointdec.problems.molecules.smiles import parse_records

KINDS = ("spectral", "diffusion")
NORMALIZATIONS = ("whiten", "spherise")


@pytest.fixture(scope="module")
def labels():
    found = parse_records(read_records(SAMPLE, "")[::8], silent)
    return found.nodes, found.edges


@st.composite
def graphs(draw):
    """Any labelled graph, molecule or not: (9,) and (9, 9)."""
    nodes = draw(hnp.arrays(np.uint8, 9, elements=st.integers(0, 4)))
    upper = draw(hnp.arrays(np.uint8, 36, elements=st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3])))
    edges = np.zeros((9, 9), np.uint8)
    edges[np.triu_indices(9, 1)] = upper
    return nodes, edges + edges.T


def spectral_operators(weights):
    """U and psi_1..3 of one graph from the eigenpairs of its Laplacian, one pair at a time."""
    n = len(weights)
    laplacian = -weights.astype(float)
    for i in range(n):
        laplacian[i, i] += sum(weights[i])
    values, vectors = np.linalg.eigh(laplacian)
    operators = [np.zeros((n, n)) for _ in range(4)]
    for value, vector in zip(np.round(values, 7), vectors.T, strict=True):
        band = 0 if value < 1 else 1 if value < 2 else 2 if value < 4 else 3
        operators[band] += np.outer(vector, vector)
    return operators[0], operators[1:]


def diffusion_operators(weights):
    """U and psi_1..3 of one graph from the powers of T."""
    n = len(weights)
    t = np.zeros((n, n))
    degrees = [max(sum(1 for weight in row if weight > 0), 1) for row in weights]
    for i in range(n):
        for j in range(n):
            t[i, j] = ((i == j) + weights[i, j] / np.sqrt(degrees[i] * degrees[j])) / 2
    power = np.linalg.matrix_power
    return power(t, 3), [np.eye(n) - t, t - power(t, 2), power(t, 2) - power(t, 4)]


OPERATORS = {"spectral": spectral_operators, "diffusion": diffusion_operators}


def blocks(nodes, edges, kind):
    """The 13 blocks (n, 5) of one graph with n nodes, in the order U f, U|psi f|, U|psi_j|psi_k f||."""
    low, bands = OPERATORS[kind](edges)
    f = np.array([[float(node == c) for c in range(5)] for node in nodes])
    first = [abs(band @ f) for band in bands]
    second = [abs(outer @ inner) for outer in bands for inner in first]
    return np.array([low @ layer for layer in [f, *first, *second]])


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(graph=graphs())
def test_features_are_those_of_a_plain_loop_over_the_equations(kind, graph):
    nodes, edges = graph
    got = scatter(nodes[None], edges[None], kind)
    np.testing.assert_allclose(got[0], blocks(nodes, edges, kind).ravel(), atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_features_of_molecules_are_those_of_a_plain_loop_over_the_equations(kind, labels):
    nodes, edges = labels
    got = scatter(nodes, edges, kind)
    assert got.shape == (len(nodes), 585)
    for row, node, edge in zip(got, nodes, edges, strict=True):
        np.testing.assert_allclose(row, blocks(node, edge, kind).ravel(), atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(graph=graphs(), order=st.permutations(range(9)))
def test_renumbering_the_nodes_renumbers_the_rows_of_every_block(kind, graph, order):
    nodes, edges = graph
    before = scatter(nodes[None], edges[None], kind).reshape(13, 9, 5)
    after = scatter(nodes[order][None], edges[np.ix_(order, order)][None], kind).reshape(13, 9, 5)
    np.testing.assert_allclose(after, before[:, order], atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_does_not_change_the_atoms_features(kind, labels):
    for node, edge in zip(*labels, strict=True):
        n = int((node != 4).sum())
        got = scatter(node[None], edge[None], kind).reshape(13, 9, 5)
        np.testing.assert_allclose(got[:, :n], blocks(node[:n], edge[:n, :n], kind), atol=1e-10)


@pytest.mark.parametrize(
    ("kind", "low", "bands"), [("spectral", 1, [0, 0, 0]), ("diffusion", 1 / 8, [1 / 2, 1 / 4, 3 / 16])]
)
def test_a_padded_node_has_the_features_of_a_node_alone_worked_out_by_hand(kind, low, bands):
    got = scatter(np.full((1, 9), 4, np.uint8), np.zeros((1, 9, 9), np.uint8), kind).reshape(13, 9, 5)
    layers = [1, *bands, *(outer * inner for outer in bands for inner in bands)]
    expected = np.zeros((13, 9, 5))
    expected[:, :, 4] = low * np.array(layers)[:, None]
    np.testing.assert_allclose(got, expected, atol=1e-12)


def test_eigenvalues_on_a_bound_belong_to_the_band_above_however_they_are_rounded():
    """The Laplacian of CC has the eigenvalues 0 and 2, of C=C 0 and 4, of CCC 0, 1 and 3; padding adds zeros."""
    ethane, ethene, propane = {(0, 1): 1}, {(0, 1): 2}, {(0, 1): 1, (1, 2): 1}
    for bonds, expected in [(ethane, [8, 0, 1, 0]), (ethene, [8, 0, 0, 1]), (propane, [7, 1, 1, 0])]:
        edges = np.zeros((9, 9))
        for (i, j), bond in bonds.items():
            edges[i, j] = edges[j, i] = bond
        for shift in range(9):
            rolled = np.roll(edges, (shift, shift), axis=(0, 1))
            low, bands = scattering._spectral(rolled[None])
            ranks = [np.trace(projector) for projector in (low[0], *bands[0])]
            np.testing.assert_allclose(ranks, expected, atol=1e-12)


def reference_encoding(train, others):
    """Projections on 135 axes and their variances from a singular value decomposition; the signs as documented."""
    mean = train.mean(axis=0)
    _, lengths, axes = np.linalg.svd(train - mean, full_matrices=False)
    axes = axes[:135] * np.array([np.sign(axis[np.abs(axis).argmax()]) for axis in axes[:135]])[:, None]
    return (others - mean) @ axes.T, lengths[:135] ** 2 / len(train)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_the_encoding_is_the_one_of_a_singular_value_decomposition_of_the_training_features(
    kind, normalization, labels
):
    nodes, edges = labels
    encoder = Encoder.fit(nodes[:500], edges[:500], scattering=kind, normalization=normalization, progress=silent)
    got = encoder.encode(nodes, edges, silent)
    features = scatter(nodes, edges, kind)
    projected, variances = reference_encoding(features[:500], features)
    if normalization == "whiten":
        expected = projected / np.sqrt(variances)
    else:
        expected = projected / np.sqrt((projected**2).sum(axis=1))[:, None]
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, atol=2e-5 * np.abs(expected).max())
    np.testing.assert_allclose(encoder.variances, variances, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_whitened_training_features_have_mean_0_and_covariance_identity(kind, labels):
    encoder = Encoder.fit(*labels, scattering=kind, normalization="whiten", progress=silent)
    z = encoder.encode(*labels, silent).astype(float)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(z.T @ z / len(z), np.eye(135), atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_spherised_molecules_and_samples_have_length_1(kind, labels):
    encoder = Encoder.fit(*labels, scattering=kind, normalization="spherise", progress=silent)
    for z in (encoder.encode(*labels, silent), encoder.sample(100, np.random.default_rng(0))):
        np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1, atol=1e-6)


def test_whitened_samples_are_standard_normal(labels):
    encoder = Encoder.fit(*labels, scattering="spectral", normalization="whiten", progress=silent)
    z = encoder.sample(40_000, np.random.default_rng(1))
    assert z.shape == (40_000, 135)
    assert z.dtype == np.float32
    # the largest of 135^2 errors of a covariance is about 4.5 / sqrt(40,000) = 0.023
    np.testing.assert_allclose(np.cov(z.T), np.eye(135), atol=0.04)
    np.testing.assert_allclose((z**4).mean(axis=0), 3, atol=0.4)


def test_spherised_samples_point_where_a_gaussian_with_the_variances_of_the_axes_points(labels):
    encoder = Encoder.fit(*labels, scattering="spectral", normalization="spherise", progress=silent)
    z = encoder.sample(40_000, np.random.default_rng(2))
    gauss = np.random.default_rng(3).standard_normal((40_000, 135)) * np.sqrt(encoder.variances)
    gauss /= np.linalg.norm(gauss, axis=1, keepdims=True)
    np.testing.assert_allclose(z.std(axis=0), gauss.std(axis=0), rtol=0.03)  # 6 standard errors
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=0.02)


def test_samples_are_a_function_of_the_generators_state(labels):
    encoder = Encoder.fit(*labels, scattering="spectral", normalization="whiten", progress=silent)
    first, again, other = (encoder.sample(5, np.random.default_rng(seed)) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@settings(max_examples=8, deadline=None)
@given(rows=st.lists(st.integers(0, 600), min_size=1, max_size=6))
def test_a_handful_of_training_molecules_has_as_many_axes_as_it_has_variance(kind, normalization, labels, rows):
    nodes, edges = labels
    encoder = Encoder.fit(nodes[rows], edges[rows], scattering=kind, normalization=normalization, progress=silent)
    features = scatter(nodes[rows], edges[rows], kind)
    rank = np.linalg.matrix_rank(features - features.mean(axis=0), tol=1e-4 * np.linalg.norm(features))
    dead = encoder.variances == 0
    assert (~dead).sum() == rank
    for z in (encoder.encode(nodes, edges, silent), encoder.sample(20, np.random.default_rng(0))):
        assert np.isfinite(z).all()
        assert not z[:, dead].any()
        assert z[:, ~dead].all(axis=0).all()


def test_all_molecules_alike_are_encoded_as_zeros(labels):
    nodes, edges = (np.repeat(part[:1], 50, axis=0) for part in labels)
    for normalization in NORMALIZATIONS:
        encoder = Encoder.fit(nodes, edges, scattering="diffusion", normalization=normalization, progress=silent)
        assert not encoder.encode(*labels, silent).any()
        assert not encoder.sample(3, np.random.default_rng(0)).any()


def test_fitting_twice_gives_the_same_bits(labels):
    one, two = (Encoder.fit(*labels, scattering="spectral", normalization="whiten", progress=silent) for _ in range(2))
    np.testing.assert_array_equal(one.encode(*labels, silent), two.encode(*labels, silent))


def test_the_size_of_a_chunk_does_not_matter_and_progress_ends_at_the_total(labels, monkeypatch):
    whole = Encoder.fit(*labels, scattering="spectral", normalization="whiten", progress=silent)
    monkeypatch.setattr(scattering, "CHUNK", 100)
    seen = []
    chunked = Encoder.fit(
        *labels, scattering="spectral", normalization="whiten", progress=lambda *call: seen.append(call)
    )
    z = chunked.encode(*labels, silent)
    np.testing.assert_allclose(z, whole.encode(*labels, silent), atol=1e-4)
    assert seen == [("Fit encoder", done, 625) for done in (0, 100, 200, 300, 400, 500, 600, 625)]
