"""Generators: counts against NetworkX, reproducibility, meshes, and the strings that name them."""

from __future__ import annotations

import re

import networkx as nx
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evenflow import gallery
from evenflow.errors import InputError
from evenflow.gallery.block_models import successes, unrank_pairs
from evenflow.graph import Graph


def place_edges(positions: np.ndarray, pairs: np.ndarray) -> set[frozenset[tuple[float, ...]]]:
    """Edges as sets of rounded end points, so that graphs compare whatever their numbering."""
    points = [tuple(point) for point in np.round(positions, 6) + 0.0]
    return {frozenset((points[i], points[j])) for i, j in pairs}


def networkx_edges(graph: nx.Graph, positions: dict) -> set[frozenset[tuple[float, ...]]]:
    number = {node: k for k, node in enumerate(graph)}
    return place_edges(
        np.array([positions[node] for node in graph], dtype=float), [(number[u], number[v]) for u, v in graph.edges]
    )


class TestEveryFamily:
    @pytest.mark.parametrize("family", gallery.FAMILIES.values(), ids=lambda family: family.name)
    def test_example(self, family: gallery.Family) -> None:
        spec = "road:2000" if family.name == "road" else family.example
        graph = gallery.from_spec(spec)
        assert graph.n_nodes > 9
        assert graph.n_edges >= graph.n_nodes - graph.components[0]
        assert family.description
        again = gallery.from_spec(spec)
        np.testing.assert_array_equal(again.edges, graph.edges)
        np.testing.assert_array_equal(again.weights, graph.weights)
        if graph.triangles is not None:
            corners = np.unique(np.sort(graph.triangles, axis=1), axis=0)
            assert len(corners) == len(graph.triangles)

    @pytest.mark.parametrize("spec", ["er:300", "sbm:3x100", "rgg:300", "ba:300", "road:300"])
    def test_seed_decides(self, spec: str) -> None:
        first, same, other = (gallery.from_spec(f"{spec}:seed={seed}") for seed in (1, 1, 2))
        np.testing.assert_array_equal(first.edges, same.edges)
        assert not np.array_equal(first.edges, other.edges)


class TestLattices:
    @pytest.mark.parametrize(
        ("shape", "periodic"), [((5,), False), ((4, 7), False), ((4, 7), True), ((3, 4, 5), True), ((2, 1, 3), False)]
    )
    def test_equals_networkx(self, shape: tuple[int, ...], periodic: bool) -> None:
        graph = gallery.lattice(*shape, periodic=periodic)
        expected = nx.grid_graph(dim=shape[::-1], periodic=periodic)
        number = {node: np.ravel_multi_index(np.atleast_1d(node), shape) for node in expected}
        assert {(int(i), int(j)) for i, j in graph.edges} == {
            tuple(sorted((int(number[u]), int(number[v])))) for u, v in expected.edges
        }
        assert graph.grid == shape
        assert graph.periodic is periodic

    @pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 3), (5, 4), (6, 7), (1, 2)])
    def test_triangular_equals_networkx(self, rows: int, columns: int) -> None:
        graph = gallery.triangular(rows, columns)
        expected = nx.triangular_lattice_graph(rows, columns)
        assert graph.n_nodes == len(expected)
        assert place_edges(graph.positions, graph.edges) == networkx_edges(
            expected, nx.get_node_attributes(expected, "pos")
        )
        i, j = graph.edges.T
        np.testing.assert_allclose(np.linalg.norm(graph.positions[i] - graph.positions[j], axis=1), 1.0)

    def test_triangles_tile_the_triangular_lattice(self) -> None:
        graph = gallery.triangular(75, 75)
        assert (graph.n_nodes, graph.n_edges) == (2926, 8550)
        assert len(graph.triangles) == graph.n_edges - graph.n_nodes + 1  # Euler, one outer face
        a, b, c = (graph.positions[graph.triangles[:, k]] for k in range(3))
        area = ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) / 2
        np.testing.assert_allclose(area, np.sqrt(3) / 4)  # all counter-clockwise

    def test_ring(self) -> None:
        graph = gallery.ring(5)
        assert graph.edges.tolist() == [[0, 1], [0, 4], [1, 2], [2, 3], [3, 4]]
        assert graph.grid == (5,)
        np.testing.assert_allclose(np.linalg.norm(graph.positions, axis=1), 1.0)

    @pytest.mark.parametrize(("r", "h"), [(2, 8), (3, 3), (1, 4), (2, 0)])
    def test_tree_equals_networkx(self, r: int, h: int) -> None:
        graph = gallery.tree(r, h)
        assert {tuple(edge) for edge in graph.edges.tolist()} == set(nx.balanced_tree(r, h).edges)
        assert len(np.unique(np.round(graph.positions, 9), axis=0)) == graph.n_nodes


class TestRandom:
    @given(st.lists(st.integers(0, 4 * 10**12), max_size=20))
    def test_unrank_pairs(self, ranks: list[int]) -> None:
        k = np.array(ranks, dtype=np.int64)
        i, j = unrank_pairs(k)
        assert ((i >= 0) & (i < j)).all()
        np.testing.assert_array_equal(j * (j - 1) // 2 + i, k)

    def test_unrank_every_small_pair(self) -> None:
        i, j = unrank_pairs(np.arange(45))
        assert {(a, b) for a, b in zip(i.tolist(), j.tolist(), strict=True)} == {
            (a, b) for b in range(10) for a in range(b)
        }

    @given(st.integers(0, 2000), st.floats(0, 1), st.integers(0, 99))
    def test_successes_are_ascending_trials(self, total: int, p: float, seed: int) -> None:
        found = successes(np.random.default_rng(seed), total, p)
        assert (np.diff(found) > 0).all()
        assert found.size == 0 or (found[0] >= 0 and found[-1] < total)
        if p == 1.0:
            assert len(found) == total

    def test_successes_have_the_right_rate(self, rng: np.random.Generator) -> None:
        hits = np.zeros(50)
        for _ in range(400):
            hits[successes(rng, 50, 0.3)] += 1
        assert abs(hits.mean() / 400 - 0.3) < 0.015
        assert abs(hits / 400 - 0.3).max() < 0.1

    def test_sbm_blocks(self) -> None:
        graph = gallery.sbm(10, 250)
        assert graph.n_nodes == 2500
        same_block = graph.edges[:, 0] // 250 == graph.edges[:, 1] // 250
        assert 2 * same_block.sum() / 2500 == pytest.approx(249 * 0.04, rel=0.05)
        assert 2 * (~same_block).sum() / 2500 == pytest.approx(2250 * 0.0004, rel=0.15)
        assert gallery.sbm(3, 4, p_in=1.0, p_out=0.0).components[0] == 3
        assert gallery.sbm(3, 4, p_in=1.0, p_out=1.0).n_edges == 66
        assert gallery.sbm(5, 1, p_out=1.0).n_edges == 10

    def test_rgg_joins_all_close_points(self) -> None:
        graph = gallery.rgg(300, radius=0.1, seed=3)
        distance = np.linalg.norm(graph.positions[:, None] - graph.positions[None], axis=2)
        np.testing.assert_array_equal(graph.adjacency.toarray() != 0, (distance <= 0.1) & (distance > 0))
        assert graph.components[0] == 1
        assert gallery.rgg(500, dim=3).positions.shape[1] == 3
        assert 10 < 2 * gallery.rgg(2500).n_edges / 2500 < 13

    def test_er(self) -> None:
        assert gallery.er(50, degree=49).n_edges == 1225
        assert gallery.er(50, degree=0).n_edges == 0
        assert gallery.er(1, degree=0).n_nodes == 1

    def test_ba(self) -> None:
        graph = gallery.ba(2000, m=3, seed=4)
        assert graph.n_edges == 3 * (2000 - 3)
        assert graph.components[0] == 1
        assert graph.degrees.min() >= 1
        assert (graph.degrees[4:] >= 3).all()
        reference = nx.barabasi_albert_graph(2000, 3, seed=4)
        second = np.mean([d**2 for _, d in reference.degree])
        assert np.mean(graph.degrees**2) == pytest.approx(second, rel=0.35)

    @pytest.mark.parametrize("n", [25, 26, 117, 5000])
    def test_road_is_nearly_a_tree(self, n: int) -> None:
        graph = gallery.road(n, seed=2)
        assert graph.n_nodes == n
        assert graph.components[0] == 1
        assert graph.n_edges == n - 1 + round(0.04422 * n)
        assert graph.isolated.size == 0
        if n == 5000:
            assert np.mean(graph.degrees == 2) > 0.7


class TestMeshes:
    def test_airfoil(self) -> None:
        graph = gallery.airfoil()
        assert (graph.n_nodes, len(graph.triangles)) == (322, 582)
        assert graph.positions.shape == (322, 2)

    @pytest.mark.parametrize("name", ["unit-square", "recirculating-flow", "unit-cube", "bar"])
    def test_pyamg_meshes_are_what_they_are_named(self, name: str) -> None:
        graph = gallery.mesh(name)
        assert graph.components[0] == 1
        i, j = graph.edges.T
        side = np.linalg.norm(graph.positions[i] - graph.positions[j], axis=1)
        assert side.max() < 0.8
        if name == "bar":
            np.testing.assert_allclose(side[(side > 0.26)], 0.5)
            corners = graph.positions[graph.triangles]
            area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
            assert area.sum() == pytest.approx(2 * (4 + 4 + 1))  # a box of 4 x 1 x 1

    def test_subdivide(self) -> None:
        graph, fine = gallery.airfoil(), gallery.airfoil(1)
        assert fine.n_nodes == graph.n_nodes + graph.n_edges
        assert fine.n_edges == 2 * graph.n_edges + 3 * len(graph.triangles)
        assert len(fine.triangles) == 4 * len(graph.triangles)
        np.testing.assert_allclose(area(fine), area(graph), rtol=1e-12)
        np.testing.assert_array_equal(fine.positions[: graph.n_nodes], graph.positions)
        assert gallery.subdivide(graph, 0) is graph

    def test_subdivide_refuses_other_graphs(self) -> None:
        with pytest.raises(InputError, match="triangles"):
            gallery.subdivide(gallery.lattice(3, 3))
        with pytest.raises(InputError, match="triangle mesh"):
            gallery.mesh("bar", subdivisions=1)

    def test_networks(self) -> None:
        assert (gallery.karate().n_nodes, gallery.karate().n_edges) == (34, 78)
        assert set(gallery.karate(weighted=False).weights) == {1.0}
        assert "Medici" in gallery.network("florentine").names
        from evenflow.gallery.networks import NETWORKS

        for name in NETWORKS:
            assert gallery.network(name).n_nodes > 3


def area(graph: Graph) -> float:
    a, b, c = (graph.positions[graph.triangles[:, k]] for k in range(3))
    return float(np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]).sum() / 2)


class TestSpecs:
    @pytest.mark.parametrize(
        ("spec", "nodes"),
        [
            ("lattice:50x50", 2500),
            ("lattice:14x14x14:periodic", 2744),
            ("LATTICE:3x3", 9),
            ("airfoil", 322),
            ("airfoil:1", 1226),
            ("les_miserables", 77),
            ("mesh:knot", 240),
            ("er:20:degree=2.5:seed=1", 20),
            ("sbm:2x5:p_out=1e-3", 10),
            ("karate:weighted=false", 34),
        ],
    )
    def test_known(self, spec: str, nodes: int) -> None:
        assert gallery.is_spec(spec)
        assert gallery.from_spec(spec).n_nodes == nodes

    @pytest.mark.parametrize(
        ("spec", "message"),
        [
            ("latice:5x5", "did you mean 'lattice:50x50'"),
            ("nothing-like-it", "there are lattice"),
            ("lattice", "needs the number of nodes"),
            ("lattice:0x5", "shape = 0"),
            ("lattice:2x5:periodic", "from 3"),
            ("lattice:99999x99999", "number of lattice nodes"),
            ("lattice:99999999999999999999", "too large"),
            ("lattice:5x5:turn=3", "does not fit lattice"),
            ("lattice:5x5:open", "shape = 'open'"),
            ("lattice::periodic", "empty field"),
            ("ring:2", "n = 2"),
            ("tree:9x40", "number of leaves"),
            ("tree:2x99999999", "number of leaves"),
            ("tree:2", "does not fit tree"),
            ("sbm:2x5:p_in=3", "p_in = 3"),
            ("rgg:100:dim=4", "dim = 4"),
            ("rgg:100:radius=none", "radius = 'none'"),
            ("er:100:seed=-1", "seed = -1"),
            ("er:100:degree=500", "degree = 500"),
            ("ba:3:m=3", "n = 3 must be more than m = 3"),
            ("road:5", "n = 5"),
            ("mesh:teapot", "no mesh 'teapot'"),
            ("network:7", "no network 7"),
            ("airfoil:-1", "times = '-1'"),
            ("airfoil:40", "number of triangles"),
        ],
    )
    def test_refused(self, spec: str, message: str) -> None:
        with pytest.raises(InputError, match=message.replace("(", r"\(")):
            gallery.from_spec(spec)

    @given(st.sampled_from(sorted(gallery.FAMILIES)), st.text("0123456789x:=.-abcdegimnoprsu", max_size=12))
    def test_any_string_is_a_graph_or_an_input_error(self, name: str, tail: str) -> None:
        sizes = [int(digits) for digits in re.findall(r"\d+", tail)]
        largest = 3 if name in ("tree", "airfoil", "mesh") else 10_000  # large graphs are not the question here
        assume(np.prod(sizes, dtype=object) <= largest)
        try:
            graph = gallery.from_spec(f"{name}:{tail}")
        except InputError:
            return
        assert graph.n_nodes >= 0
