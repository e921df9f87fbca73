"""What every preconditioner owes, whatever its kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evenflow.errors import InputError
from evenflow.preconditioner import Breakdown, Preconditioner

_MANY = settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def laplacian(graph: nx.Graph, weights: np.ndarray | None = None) -> sp.csr_array:
    """Weighted Laplacian with its diagonal stored."""
    graph = nx.convert_node_labels_to_integers(graph)
    n = graph.number_of_nodes()
    edges = np.array(graph.edges, dtype=np.int64).reshape(-1, 2)
    w = np.ones(len(edges)) if weights is None else weights[: len(edges)]
    return couple(n, edges, w)


def couple(n: int, edges: np.ndarray, w: np.ndarray) -> sp.csr_array:
    """Sum of w_ij (e_i - e_j)(e_i - e_j)^T on a pattern with the whole diagonal."""
    i, j = edges[:, 0], edges[:, 1]
    diagonal = np.bincount(np.r_[i, j], np.r_[w, w], minlength=n)
    rows, columns = np.r_[i, j, np.arange(n)], np.r_[j, i, np.arange(n)]
    matrix = sp.csr_array(sp.coo_array((np.r_[-w, -w, diagonal], (rows, columns)), shape=(n, n)))
    matrix.sum_duplicates()
    matrix.sort_indices()
    return matrix


def raise_diagonal(matrix: sp.csr_array, amount: np.ndarray) -> sp.csr_array:
    """The same pattern with ``amount`` added to the diagonal."""
    raised = matrix.copy()
    raised.setdiag(matrix.diagonal() + amount)
    assert raised.nnz == matrix.nnz
    return raised


FAMILIES: dict[str, Callable[[int, int], nx.Graph]] = {
    "lattice": lambda n, seed: nx.grid_2d_graph(max(2, n // 7), 7),
    "torus": lambda n, seed: nx.grid_2d_graph(max(3, n // 7), 7, periodic=True),
    "cubic": lambda n, seed: nx.grid_graph((5, 5, max(2, n // 25))),
    "triangular": lambda n, seed: nx.triangular_lattice_graph(max(2, n // 8), 8),
    "ring": lambda n, seed: nx.cycle_graph(n),
    "path": lambda n, seed: nx.path_graph(n),
    "tree": lambda n, seed: nx.random_labeled_tree(n, seed=seed),
    "star": lambda n, seed: nx.star_graph(n),
    "rgg": lambda n, seed: nx.random_geometric_graph(n, 1.6 / np.sqrt(n), seed=seed),
    "er": lambda n, seed: nx.gnm_random_graph(n, 2 * n, seed=seed),
    "sbm": lambda n, seed: nx.planted_partition_graph(4, n // 4, 0.3, 0.01, seed=seed),
    "ba": lambda n, seed: nx.barabasi_albert_graph(n, 3, seed=seed),
    "lollipop": lambda n, seed: nx.lollipop_graph(8, n),
    "complete": lambda n, seed: nx.complete_graph(min(n, 40)),
    "separate": lambda n, seed: nx.disjoint_union_all([nx.grid_2d_graph(6, 6), nx.path_graph(9), nx.empty_graph(4)]),
}


@st.composite
def matrices(draw: st.DrawFn, singular: bool = True) -> sp.csr_array:
    """Laplacian of a small graph of any family, weights over five decades, baths on some nodes."""
    seed = draw(st.integers(0, 1000))
    graph = FAMILIES[draw(st.sampled_from(sorted(FAMILIES)))](draw(st.integers(20, 260)), seed)
    rng = np.random.default_rng(seed)
    m, n = graph.number_of_edges(), graph.number_of_nodes()
    decades = draw(st.sampled_from([0.0, 1.0, 5.0]))
    matrix = laplacian(graph, 10 ** rng.uniform(-decades / 2, decades / 2, m))
    share = draw(st.sampled_from([0.0, 0.1, 1.0] if singular else [0.1, 1.0]))
    bath = (rng.random(n) < share) * 10 ** rng.uniform(-2, 3, n)
    if not singular:
        bath = bath + 1e-3
    return raise_diagonal(matrix, bath)


def conjugate_gradients(matrix: sp.csr_array, b: np.ndarray, p: Preconditioner, rtol: float = 1e-8) -> int:
    """Iterations until the residual has fallen by ``rtol`` (the singular case: b in the range)."""
    x, r = np.zeros_like(b), b.copy()
    z = p.apply(r).copy()
    d, rz = z.copy(), float(r @ z)
    for k in range(1, 400):
        q = matrix @ d
        step = rz / float(d @ q)
        x, r = x + step * d, r - step * q
        if np.linalg.norm(r) <= rtol * np.linalg.norm(b):
            assert np.linalg.norm(b - matrix @ x) <= 10 * rtol * np.linalg.norm(b)
            return k
        z = p.apply(r)
        new = float(r @ z)
        assert new > 0
        d, rz = z + new / rz * d, new
    return 400


class PreconditionerConformance:
    """Inherit and say how to make the member and how many iterations it may need."""

    rebuilds: ClassVar[bool] = False  # no structure is kept, so there is no update
    iterations: ClassVar[int] = 400  # on any of the small graphs

    def make(self, **options: Any) -> Preconditioner:
        raise NotImplementedError

    def lattice(self, k: int = 17) -> sp.csr_array:
        matrix = laplacian(nx.grid_2d_graph(k, k))
        return raise_diagonal(matrix, np.where(np.arange(k * k) < k, 1.0, 0.0))

    def change(self, matrix: sp.csr_array, rng: np.random.Generator) -> sp.csr_array:
        """A matrix of the same pattern on which a fresh build takes the same structure."""
        return raise_diagonal(matrix, rng.random(matrix.shape[0]))

    @_MANY
    @given(matrix=matrices(), seed=st.integers(0, 100))
    def test_symmetric_and_positive_definite(self, matrix: sp.csr_array, seed: int) -> None:
        p = self.make()
        p.refresh(matrix)
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(2, matrix.shape[0]))
        px, py = p.apply(x).copy(), p.apply(y).copy()
        assert np.isfinite(px).all()
        assert x @ px > 0
        assert y @ py > 0
        size = np.sqrt(x @ px) * np.sqrt(y @ py)
        assert abs(y @ px - x @ py) <= 1e-7 * size

    @_MANY
    @given(matrix=matrices(), seed=st.integers(0, 100))
    def test_refreshed_diagonal_is_a_refreshed_matrix(self, matrix: sp.csr_array, seed: int) -> None:
        rng = np.random.default_rng(seed)
        n = matrix.shape[0]
        dent = np.where(np.arange(n) == n // 2, -0.01, 1.0) * matrix.diagonal()
        updates = [10 ** rng.uniform(-2, 2, n), np.zeros(n), -rng.random(n) * matrix.diagonal(), rng.random(n), dent]
        updates.append(rng.random(n))
        p, q = self.make(), self.make()
        p.refresh(matrix)
        q.refresh(matrix)
        r = rng.normal(size=n)
        for amount in updates:  # the third one makes the matrix indefinite
            changed = raise_diagonal(matrix, amount)
            outcomes = []
            for member, refresh in (
                (p, lambda changed=changed: p.refresh_diagonal(matrix, changed.diagonal())),
                (q, lambda changed=changed: q.refresh(changed)),
            ):
                try:
                    refresh()
                    outcomes.append(member.apply(r).copy())
                except Breakdown:
                    outcomes.append(None)
            assert (outcomes[0] is None) == (outcomes[1] is None)
            if outcomes[0] is not None and outcomes[1] is not None:
                np.testing.assert_allclose(outcomes[0], outcomes[1], rtol=1e-7, atol=1e-9 * np.abs(outcomes[1]).max())

    @_MANY
    @given(matrix=matrices(singular=False), seed=st.integers(0, 100), depth=st.floats(0.0, 2.0))
    def test_what_it_calls_convex_is(self, matrix: sp.csr_array, seed: int, depth: float) -> None:
        """With the couplings of the last refresh; it may well not know."""
        p = self.make()
        p.refresh(matrix)
        diagonal = matrix.diagonal() * (1.0 - depth * np.random.default_rng(seed).random(matrix.shape[0]) ** 8)
        if p.is_convex(diagonal):
            changed = matrix.toarray()
            np.fill_diagonal(changed, diagonal)
            assert np.linalg.eigvalsh(changed)[0] >= -1e-12 * diagonal.max()

    @_MANY
    @given(matrix=matrices(singular=False), seed=st.integers(0, 100))
    def test_solves_within_its_iterations(self, matrix: sp.csr_array, seed: int) -> None:
        p = self.make()
        p.refresh(matrix)
        b = matrix @ np.random.default_rng(seed).normal(size=matrix.shape[0])
        assert conjugate_gradients(matrix, b, p) <= self.iterations

    @pytest.mark.parametrize("family", sorted(FAMILIES))
    def test_null_space_of_every_component(self, family: str) -> None:
        matrix = laplacian(FAMILIES[family](120, 3))
        p = self.make()
        p.refresh(matrix)
        b = matrix @ np.random.default_rng(1).normal(size=matrix.shape[0])
        assert conjugate_gradients(matrix, b, p) <= self.iterations

    def test_refresh_equals_rebuild(self, rng: np.random.Generator) -> None:
        matrix = self.lattice()
        p, fresh = self.make(), self.make()
        p.refresh(matrix)
        other = self.change(matrix, rng)
        p.refresh(other)
        fresh.refresh(other)
        r = rng.normal(size=matrix.shape[0])
        np.testing.assert_allclose(p.apply(r), fresh.apply(r), rtol=1e-12, atol=1e-14)
        if not self.rebuilds:
            assert p.cost.refreshes == 1
        assert fresh.cost.refreshes == 0

    def test_matrix_may_change_in_place_after_a_refresh(self, rng: np.random.Generator) -> None:
        matrix = self.lattice()
        p = self.make()
        p.refresh(matrix)
        r = rng.normal(size=matrix.shape[0])
        before = p.apply(r).copy()
        matrix.data[:] = np.nan
        np.testing.assert_array_equal(p.apply(r), before)

    def test_refresh_is_deterministic(self, rng: np.random.Generator) -> None:
        matrix = self.lattice()
        r = rng.normal(size=matrix.shape[0])
        p = self.make()
        results = []
        for _ in range(3):
            p.refresh(matrix)
            results.append(p.apply(r).copy())
        np.testing.assert_array_equal(results[0], results[1])
        np.testing.assert_array_equal(results[1], results[2])

    def test_new_pattern_builds_anew(self, rng: np.random.Generator) -> None:
        p = self.make()
        p.refresh(self.lattice(13))
        for matrix in (self.lattice(19), laplacian(nx.path_graph(169)), self.lattice(13)):
            regular = raise_diagonal(matrix, np.full(matrix.shape[0], 1e-2))
            p.refresh(regular)
            assert p.cost.refreshes == 0
            r = rng.normal(size=matrix.shape[0])
            fresh = self.make()
            fresh.refresh(regular)
            np.testing.assert_allclose(p.apply(r), fresh.apply(r), rtol=1e-12)

    def test_writes_to_out(self, rng: np.random.Generator) -> None:
        matrix = self.lattice()
        p = self.make()
        p.refresh(matrix)
        r = rng.normal(size=matrix.shape[0])
        kept, out = r.copy(), np.empty_like(r)
        assert p.apply(r, out) is out
        np.testing.assert_array_equal(out, p.apply(r))
        np.testing.assert_array_equal(r, kept)

    def test_diagonal_matrix_is_solved(self) -> None:
        d = np.linspace(1.0, 9.0, 200)
        p = self.make()
        p.refresh(sp.csr_array(sp.diags_array(d)))
        np.testing.assert_allclose(p.apply(np.ones(200)), 1 / d, rtol=1e-6)

    def test_one_unknown(self) -> None:
        p = self.make()
        p.refresh(sp.csr_array([[4.0]]))
        np.testing.assert_allclose(p.apply(np.ones(1)), [0.25], rtol=1e-6)

    def test_no_unknowns(self) -> None:
        p = self.make()
        p.refresh(sp.csr_array((0, 0)))
        assert p.apply(np.empty(0)).shape == (0,)

    def test_large_indices(self) -> None:
        matrix = self.lattice()
        wide = sp.csr_array(
            (matrix.data, matrix.indices.astype(np.int64), matrix.indptr.astype(np.int64)), shape=matrix.shape
        )
        p, q = self.make(), self.make()
        p.refresh(matrix)
        q.refresh(wide)
        r = np.ones(matrix.shape[0])
        np.testing.assert_array_equal(p.apply(r), q.apply(r))

    def test_not_finite_breaks_down(self) -> None:
        matrix = self.lattice()
        matrix.data[5] = np.nan
        with pytest.raises(Breakdown, match="not finite"):
            self.make().refresh(matrix)

    def test_wrong_matrices_are_refused(self) -> None:
        with pytest.raises(InputError, match="tocsr"):
            self.make().refresh(self.lattice().tocsc())  # type: ignore[arg-type]
        with pytest.raises(InputError, match="square"):
            self.make().refresh(self.lattice()[:5])

    def test_wrong_vectors_are_refused(self) -> None:
        matrix = self.lattice()
        n = matrix.shape[0]
        p = self.make()
        p.refresh(matrix)
        r = np.ones(n)
        for bad in (np.ones(n - 1), np.ones((n, 1)), np.ones(n, np.float32)):
            with pytest.raises(InputError, match="expected float64"):
                p.apply(bad)
            with pytest.raises(InputError, match="expected float64"):
                p.apply(r, bad)
        with pytest.raises(InputError, match="out is r itself"):
            p.apply(r, r)

    def test_cost_and_text(self) -> None:
        p = self.make()
        p.refresh(self.lattice())
        assert p.cost.setup_seconds > 0
        assert p.cost.nbytes > 0
        assert p.cost.fill > 0
        assert p.cost.levels >= 1
        assert str(p).startswith(type(p).__name__)
