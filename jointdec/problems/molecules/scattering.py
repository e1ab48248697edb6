r"""The encoder: graph scattering, PCA and a Gaussian; fixed, not trained.

D. Zou, G. Lerman, *Encoding robust representation for graph generation* (arXiv 1809.10851). A molecule is the
signal f, its atoms one-hot (9, 5), on the weighted graph W = single + 2 double + 3 triple (9, 9).

*Spectral.* With the eigenpairs (lam, v) of the Laplacian L = diag(W 1) - W, psi_k = sum of v v^T over
2^(k-1) <= lam < 2^k for k = 1, 2 and over 4 <= lam for k = 3 (in QM9 lam < 8); the low pass U sums over
lam < 1.

*Diffusion.* With the unweighted degrees d, D = diag(max(d, 1)) and T = (I + D^(-1/2) W D^(-1/2)) / 2,
psi_1 = I - T, psi_2 = T - T^2, psi_3 = T^2 - T^4; U = T^3.

Both keep what the low pass leaves of zero, one and two layers of absolute values:

    U f,  U |psi_k f|,  U |psi_j |psi_k f||      for j, k = 1, 2, 3:  (1 + 3 + 9) x 9 x 5 = 585 numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jointdec.dataset import Progress
from jointdec.problems.molecules.sizes import FEATURES, NODE_CLASSES, NODES

Labels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

SCATTERED = 13 * NODES * NODE_CLASSES
CHUNK = 4096  # molecules at a time: 19 MB of features, and as much again for what they are made of
# Integer Laplacians have eigenvalues of exactly 1, 2 and 4 (58,000 in QM9), and half of them come out a rounding
# error lower. Others come no closer to the bounds than 9e-4 in QM9.
ROUNDING = 1e-6
FLOOR = 1e-10  # of the features' mean squared length; less is rounding (QM9's least variance kept: 1e-7)


def scatter(nodes: Labels, edges: Labels, scattering: str) -> Floats:
    """Scattering features of molecules.

    Args:
        nodes: atom classes (n, 9).
        edges: bond classes (n, 9, 9), symmetric with a diagonal of 0.
        scattering: "spectral" or "diffusion".

    Returns:
        (n, 585) float64: 13 blocks of (9 nodes, 5 classes).
    """
    low, bands = (_spectral if scattering == "spectral" else _diffusion)(edges.astype(np.float64))
    signal = np.eye(NODE_CLASSES)[nodes][:, None]
    once = np.abs(bands @ signal)
    twice = np.abs(bands[:, :, None] @ once[:, None])
    layers = np.concatenate([signal, once, twice.reshape(len(nodes), 9, NODES, NODE_CLASSES)], axis=1)
    passed: Floats = low[:, None] @ layers
    return passed.reshape(len(nodes), SCATTERED)


def _spectral(weights: Floats) -> tuple[Floats, Floats]:
    """The low pass (n, 9, 9) and the three bands (n, 3, 9, 9)."""
    laplacian = weights.sum(axis=2)[:, :, None] * np.eye(NODES) - weights
    values, vectors = np.linalg.eigh(laplacian)
    band = np.digitize(values, np.array([1.0, 2.0, 4.0]) - ROUNDING)
    chosen = (band[:, None] == np.arange(4)[:, None]).astype(np.float64)
    projectors = (vectors[:, None] * chosen[:, :, None]) @ vectors.transpose(0, 2, 1)[:, None]
    return projectors[:, 0], projectors[:, 1:]


def _diffusion(weights: Floats) -> tuple[Floats, Floats]:
    """The low pass (n, 9, 9) and the three wavelets (n, 3, 9, 9)."""
    scale = np.maximum((weights > 0).sum(axis=2), 1) ** -0.5
    identity = np.eye(NODES)
    t = (identity + scale[:, :, None] * weights * scale[:, None]) / 2
    t2 = t @ t
    return t2 @ t, np.stack([identity - t, t - t2, t2 - t2 @ t2], axis=1)


@dataclass(frozen=True)
class Encoder:
    """Scattering features x, made Gaussian: centred, projected on 135 principal axes, then normalised.

    With the mean mu of the features, their principal axes V and the variances Lam along them:

    - whiten: z = Lam^(-1/2) V (x - mu); new samples are N(0, I).
    - spherise: z = V (x - mu) / |V (x - mu)|; new samples are N(0, Lam), divided by their length.

    Axes without variance give 0, in molecules and in samples.

    Attributes:
        scattering: "spectral" or "diffusion".
        normalization: "whiten" or "spherise".
        mean: mu, (585,).
        axes: V, (135, 585), orthonormal rows, the largest variance first; their largest entries are positive.
        variances: the diagonal of Lam, (135,); 0 where there is none.
    """

    scattering: str
    normalization: str
    mean: Floats
    axes: Floats
    variances: Floats

    @classmethod
    def fit(cls, nodes: Labels, edges: Labels, *, scattering: str, normalization: str, progress: Progress) -> Encoder:
        """Find mean, axes and variances of the training molecules, (n, 9) and (n, 9, 9), n >= 1."""
        total, squares = np.zeros(SCATTERED), np.zeros((SCATTERED, SCATTERED))
        for part in _chunks(len(nodes), "Fit encoder", progress):
            x = scatter(nodes[part], edges[part], scattering)
            total += x.sum(axis=0)
            squares += x.T @ x
        mean = total / len(nodes)
        second_moment = squares / len(nodes)
        variances, vectors = np.linalg.eigh(second_moment - np.outer(mean, mean))
        variances, axes = variances[::-1][:FEATURES], vectors.T[::-1][:FEATURES]
        largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
        kept = variances > FLOOR * second_moment.trace()
        return cls(scattering, normalization, mean, axes * np.sign(largest), np.where(kept, variances, 0.0))

    def encode(self, nodes: Labels, edges: Labels, progress: Progress) -> npt.NDArray[np.float32]:
        """Features (n, 135) of molecules, (n, 9) and (n, 9, 9)."""
        encoded = np.empty((len(nodes), FEATURES), np.float32)
        kept = self.variances > 0
        for part in _chunks(len(nodes), "Encode molecules", progress):
            x = scatter(nodes[part], edges[part], self.scattering)
            encoded[part] = self._normalise(np.where(kept, (x - self.mean) @ self.axes.T, 0.0))
        return encoded

    def sample(self, n: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
        """Draw features (n, 135) from the Gaussian that molecules are mapped to."""
        projected = np.sqrt(self.variances) * rng.standard_normal((n, FEATURES))
        return self._normalise(projected).astype(np.float32)

    def _normalise(self, projected: Floats) -> Floats:
        length: Floats
        if self.normalization == "whiten":
            length = np.sqrt(self.variances)
        else:
            length = np.linalg.norm(projected, axis=1, keepdims=True)
        return projected / np.where(length > 0, length, 1.0)


def _chunks(n: int, description: str, progress: Progress) -> Iterator[slice]:
    for start in range(0, n, CHUNK):
        progress(description, start, n)
        yield slice(start, start + CHUNK)
    progress(description, n, n)
