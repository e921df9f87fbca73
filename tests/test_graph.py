"""Graph: construction, its checks, and the matrices that follow from it."""

from __future__ import annotations

import copy
import pickle

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evenflow.errors import InputError
from evenflow.graph import Graph


@st.composite
def graphs(draw: st.DrawFn, min_nodes: int = 1, positive: bool = False) -> Graph:
    """Random small graphs with weights of both signs, oriented and plain edge data, positions."""
    n = draw(st.integers(min_nodes, 12))
    every = [(i, j) for i in range(n) for j in range(i)] or [(0, 0)]
    pairs = draw(st.lists(st.sampled_from(every), unique=True, max_size=30)) if n > 1 else []
    turned = [(j, i) if draw(st.booleans()) else (i, j) for i, j in pairs]
    low = 0.125 if positive else -8.0
    value = st.floats(low, 8.0, allow_subnormal=False)
    column = arrays(np.float64, len(pairs), elements=value)
    return Graph.from_edges(
        np.array(turned, dtype=np.int64).reshape(-1, 2),
        n,
        draw(column),
        draw(arrays(np.float64, (n, 2), elements=st.floats(-5, 5))),
        {"offset": draw(column), "length": draw(column)},
        oriented=["offset"],
    )


def assert_same(a: Graph, b: Graph) -> None:
    assert a.n_nodes == b.n_nodes
    np.testing.assert_array_equal(a.edges, b.edges)
    np.testing.assert_array_equal(a.weights, b.weights)
    assert a.names == b.names
    assert a.oriented == b.oriented
    assert set(a.edge_data) == set(b.edge_data)
    for name in a.edge_data:
        np.testing.assert_array_equal(a.edge_data[name], b.edge_data[name])
    for x, y in ((a.positions, b.positions), (a.triangles, b.triangles)):
        assert (x is None) == (y is None)
        if x is not None:
            np.testing.assert_array_equal(x, y)


class TestInvariants:
    @given(graphs())
    def test_edges_ascend(self, graph: Graph) -> None:
        assert (graph.edges[:, 0] < graph.edges[:, 1]).all()
        key = graph.edges[:, 0] * graph.n_nodes + graph.edges[:, 1]
        assert (np.diff(key) > 0).all()

    @given(graphs())
    def test_rows_are_the_adjacency(self, graph: Graph) -> None:
        indptr, indices, edge = graph.rows
        assert indptr.dtype == indices.dtype == edge.dtype == np.int64
        row = np.repeat(np.arange(graph.n_nodes), np.diff(indptr))
        np.testing.assert_array_equal(np.sort(np.stack([row, indices], 1), axis=1), graph.edges[edge])
        for node in range(graph.n_nodes):
            assert (np.diff(indices[indptr[node] : indptr[node + 1]]) > 0).all()
        dense = np.zeros((graph.n_nodes, graph.n_nodes))
        dense[row, indices] = graph.weights[edge]
        np.testing.assert_array_equal(graph.adjacency.toarray(), dense)
        np.testing.assert_array_equal(np.bincount(edge, minlength=graph.n_edges), 2)

    @given(graphs())
    def test_laplacian(self, graph: Graph) -> None:
        laplacian = graph.laplacian.toarray()
        np.testing.assert_allclose(laplacian.sum(axis=1), 0.0, atol=1e-12)
        np.testing.assert_array_equal(laplacian, laplacian.T)
        w = np.linspace(-1, 1, graph.n_nodes)
        i, j = graph.edges.T
        assert w @ laplacian @ w == pytest.approx((graph.weights * (w[i] - w[j]) ** 2).sum(), abs=1e-10)

    @given(graphs())
    def test_slot_data_turns_with_the_slot(self, graph: Graph) -> None:
        indptr, indices, edge = graph.rows
        row = np.repeat(np.arange(graph.n_nodes), np.diff(indptr))
        dense = np.zeros((graph.n_nodes, graph.n_nodes))
        dense[row, indices] = graph.slot_data("offset")
        np.testing.assert_array_equal(dense, -dense.T)
        plain = np.zeros_like(dense)
        plain[row, indices] = graph.slot_data("length")
        np.testing.assert_array_equal(plain, plain.T)
        upper = row < indices
        np.testing.assert_array_equal(graph.slot_data("offset")[upper], graph.edge_data["offset"][edge[upper]])

    @given(graphs())
    def test_connection_laplacian(self, graph: Graph) -> None:
        matrix = graph.connection_laplacian().toarray()
        np.testing.assert_allclose(matrix, matrix.conj().T, atol=1e-12)
        z = np.exp(1j * np.arange(graph.n_nodes))
        i, j = graph.edges.T
        energy = (graph.weights * abs(z[i] - np.exp(1j * graph.edge_data["offset"]) * z[j]) ** 2).sum()
        assert (z.conj() @ matrix @ z).real == pytest.approx(energy, abs=1e-9)

    @given(graphs(positive=True), st.sampled_from(["sym", "kipf"]))
    def test_normalised(self, graph: Graph, rule: str) -> None:
        matrix = graph.normalised(rule).toarray()
        np.testing.assert_allclose(matrix, matrix.T, atol=1e-14)
        assert abs(np.linalg.eigvalsh(matrix)).max() <= 1 + 1e-12
        for node in graph.isolated:
            expected = np.zeros(graph.n_nodes)
            expected[node] = 1.0 if rule == "kipf" else 0.0
            np.testing.assert_array_equal(matrix[node], expected)

    @given(graphs())
    def test_components_agree_with_networkx(self, graph: Graph) -> None:
        count, label = graph.components
        expected = list(nx.connected_components(graph.to_networkx()))
        assert count == len(expected)
        for members in expected:
            assert len({int(label[k]) for k in members}) == 1

    @given(graphs(), st.data())
    def test_subgraph(self, graph: Graph, data: st.DataObject) -> None:
        nodes = data.draw(st.lists(st.integers(0, graph.n_nodes - 1), unique=True))
        part = graph.subgraph(nodes)
        np.testing.assert_array_equal(part.adjacency.toarray(), graph.adjacency.toarray()[np.ix_(nodes, nodes)])
        whole, piece = (dense_offsets(g) for g in (graph, part))
        np.testing.assert_array_equal(piece, whole[np.ix_(nodes, nodes)])
        assert part.names == tuple(nodes)
        np.testing.assert_array_equal(part.positions, graph.positions[nodes])


def dense_offsets(graph: Graph) -> np.ndarray:
    indptr, indices, _ = graph.rows
    return sp.csr_array((graph.slot_data("offset"), indices, indptr), shape=(graph.n_nodes,) * 2).toarray()


class TestRoundTrips:
    @given(graphs())
    def test_networkx(self, graph: Graph) -> None:
        names = list(graph.edge_data) if graph.n_edges else []
        back = Graph.from_networkx(graph.to_networkx(), edge_data=names, oriented=["offset"] if names else [])
        assert_same(graph if names else graph.replace(edge_data={}), back)

    @given(graphs())
    def test_scipy(self, graph: Graph) -> None:
        assert_same(graph.replace(edge_data={}), Graph.from_scipy(graph.to_scipy(), graph.positions))

    @given(graphs())
    def test_pyg(self, graph: Graph) -> None:
        assert_same(graph, Graph.from_pyg(graph.to_pyg(), edge_data=["offset", "length"], oriented=["offset"]))

    @given(graphs())
    def test_any_listing_gives_the_same_graph(self, graph: Graph) -> None:
        order = np.random.default_rng(graph.n_edges).permutation(graph.n_edges)
        data = {"offset": -graph.edge_data["offset"][order], "length": graph.edge_data["length"][order]}
        assert_same(
            graph,
            Graph.from_edges(
                graph.edges[order, ::-1],
                graph.n_nodes,
                graph.weights[order],
                graph.positions,
                data,
                oriented=["offset"],
            ),
        )

    @given(graphs())
    def test_pickle_and_copy(self, graph: Graph) -> None:
        assert_same(graph, pickle.loads(pickle.dumps(graph)))
        assert_same(graph, copy.deepcopy(graph))

    def test_triangles_and_names(self) -> None:
        graph = Graph.from_edges([(0, 1), (1, 2), (0, 2)], positions=np.eye(3), triangles=[[0, 1, 2]])
        assert_same(graph, Graph.from_pyg(graph.to_pyg()))
        named = graph.replace(names=["a", "b", "c"], triangles=None)
        assert_same(named, Graph.from_networkx(named.to_networkx()))


class TestRefusals:
    @pytest.mark.parametrize(
        ("edges", "options", "message"),
        [
            ([(0, 1), (1, 3)], {"n_nodes": 3}, r"edges\[1\] = \(1, 3\) is out of range for n_nodes = 3"),
            ([(0, -1)], {}, r"edges\[0\] = \(0, -1\) is out of range"),
            ([(0, 1.5)], {}, r"edges\[0, 1\] = 1.5 is not an integer"),
            ([(0, float("nan"))], {}, r"edges\[0, 1\] = nan is not an integer"),
            ([("a", "b")], {}, "expected integers"),
            ([(True, False)], {}, "expected integers"),
            ([(0, 2**70)], {}, "expected integers"),
            ([(0, 2**62)], {}, "the largest index plus one, = 4611686018427387905"),
            ([(0, 1, 2)], {}, r"expected \(m, 2\)"),
            ([(0, 1), (2,)], {}, "edges is not an array"),
            ([(0, 1)], {"weights": [np.inf]}, r"weights\[0\] = inf is not finite"),
            ([(0, 1)], {"weights": [1.0, 2.0]}, r"weights has shape \(2,\), expected \(1,\)"),
            ([(0, 1)], {"weights": [1j]}, "expected real numbers"),
            ([(0, 1), (2, 2)], {}, r"edges\[1\] = \(2, 2\) is a self-loop.*self_loops='drop'"),
            ([(0, 1), (1, 0)], {"weights": [1, 2]}, r"edges\[1\] = \(1, 0\) repeats edges\[0\].*duplicates='sum'"),
            ([(0, 1)], {"positions": [[0.0, 0.0]]}, "out of range"),
            ([(0, 1)], {"n_nodes": 3, "positions": np.zeros((2, 2))}, "positions tells 2 nodes and n_nodes tells 3"),
            ([(0, 1)], {"positions": np.zeros((2, 4))}, "positions has"),
            ([(0, 1)], {"positions": [[0, np.nan], [0, 0]]}, r"positions\[0, 1\] = nan"),
            ([(0, 1)], {"triangles": [[0, 1, 2]]}, r"triangles\[0\] = \[0, 1, 2\] is out of range"),
            ([(0, 1)], {"names": ["a", "a"]}, "names has 1 distinct"),
            ([(0, 1)], {"edge_data": {"x": [1, 2]}}, r"edge_data\['x'\] has shape \(2,\)"),
            ([(0, 1)], {"oriented": ["x"]}, "oriented names"),
            ([(0, 1)], {"n_nodes": -1}, "n_nodes = -1"),
            ([(0, 1)], {"n_nodes": 2.5}, "n_nodes = 2.5"),
            ([(0, 1)], {"grid": (3,)}, r"grid = \(3,\)"),
            ([(0, 1)], {"duplicates": "mean"}, "duplicates='mean' is not known"),
            ([(0, 1)], {"self_loops": "keep"}, "self_loops='keep' is not known"),
        ],
    )
    def test_from_edges(self, edges: object, options: dict, message: str) -> None:
        with pytest.raises(InputError, match=message):
            Graph.from_edges(edges, **options)

    def test_raw_constructor_wants_order(self) -> None:
        with pytest.raises(InputError, match=r"edges\[1\] breaks the order"):
            Graph(3, np.array([[1, 2], [0, 1]]), np.ones(2))
        with pytest.raises(InputError, match="expected float64"):
            Graph(3, np.array([[0, 1]]), np.ones(1, dtype=int))

    def test_asymmetric_matrix(self) -> None:
        matrix = sp.csr_array(np.array([[0.0, 1.0], [3.0, 0.0]]))
        with pytest.raises(InputError, match=r"entry \(0, 1\) has weight 1.0 and \(1, 0\) has 3.0.*symmetrize='mean'"):
            Graph.from_scipy(matrix)
        for rule, weight in (("mean", 2.0), ("sum", 4.0), ("max", 3.0)):
            assert Graph.from_scipy(matrix, symmetrize=rule).weights.tolist() == [weight]
        with pytest.raises(InputError, match=r"\(2, 0\) = 5.0 has no opposite \(0, 2\)"):
            Graph.from_scipy(sp.coo_array(([5.0], ([2], [0])), shape=(3, 3)))
        with pytest.raises(InputError, match="square"):
            Graph.from_scipy(np.zeros((2, 3)))
        with pytest.raises(InputError, match="self_loops"):
            Graph.from_scipy(np.eye(2))
        assert Graph.from_scipy(np.eye(2), self_loops="drop").n_edges == 0

    def test_directed_networkx(self) -> None:
        arcs = nx.DiGraph([(0, 1), (1, 2), (2, 1)])
        with pytest.raises(InputError, match="symmetrize"):
            Graph.from_networkx(arcs)
        assert Graph.from_networkx(arcs, symmetrize="max").weights.tolist() == [1.0, 1.0]
        assert Graph.from_networkx(arcs, symmetrize="mean").weights.tolist() == [0.5, 1.0]

    def test_multigraph_and_partial_attributes(self) -> None:
        multi = nx.MultiGraph()
        multi.add_edge(0, 1, weight=1.0)
        multi.add_edge(0, 1, weight=2.0)
        with pytest.raises(InputError, match="duplicates"):
            Graph.from_networkx(multi)
        assert Graph.from_networkx(multi, duplicates="sum").weights.tolist() == [3.0]
        partial = nx.path_graph(3)
        partial.edges[0, 1]["weight"] = 2.0
        with pytest.raises(InputError, match=r"edge \(1, 2\) has no 'weight'"):
            Graph.from_networkx(partial)

    def test_one_way_pyg(self) -> None:
        data = Graph.from_edges([(0, 1)]).to_pyg()
        data.edge_index, data.edge_weight = data.edge_index[:, :1], data.edge_weight[:1]
        with pytest.raises(InputError, match="no opposite"):
            Graph.from_pyg(data)
        assert Graph.from_pyg(data, symmetrize="max").n_edges == 1

    def test_normalised_refuses_degrees_that_are_not_positive(self) -> None:
        graph = Graph.from_edges([(0, 1), (1, 2)], weights=[1.0, -1.0])
        with pytest.raises(InputError, match="node 1 has degree 0 under rule='sym'"):
            graph.normalised("sym")
        with pytest.raises(InputError, match="node 2 has degree 0 under rule='kipf'"):
            graph.normalised("kipf")
        with pytest.raises(InputError, match="rule='sq'"):
            graph.normalised("sq")

    def test_subgraph_and_replace(self) -> None:
        graph = Graph.from_edges([(0, 1)])
        with pytest.raises(InputError, match=r"nodes\[1\] = 7"):
            graph.subgraph([0, 7])
        with pytest.raises(InputError, match="twice"):
            graph.subgraph([0, 0])
        with pytest.raises(InputError, match="replace got"):
            graph.replace(edges=[(0, 1)])
        with pytest.raises(InputError, match="edge_data has no 'offset'"):
            graph.slot_data("offset")


class TestRules:
    def test_agreeing_repetitions_count_once(self) -> None:
        graph = Graph.from_edges(
            [(0, 1), (1, 0)], weights=[2, 2], edge_data={"offset": [0.5, -0.5]}, oriented=["offset"]
        )
        assert graph.weights.tolist() == [2.0]
        assert graph.edge_data["offset"].tolist() == [0.5]
        with pytest.raises(InputError, match="another offset"):
            Graph.from_edges([(0, 1), (1, 0)], edge_data={"offset": [0.5, 0.5]}, oriented=["offset"])

    def test_first_and_sum(self) -> None:
        listed = {"edges": [(2, 1), (0, 1), (1, 2)], "weights": [1.0, 5.0, 2.0]}
        assert Graph.from_edges(**listed, duplicates="first").weights.tolist() == [5.0, 1.0]
        assert Graph.from_edges(**listed, duplicates="sum").weights.tolist() == [5.0, 3.0]

    def test_self_loops_dropped(self) -> None:
        graph = Graph.from_edges([(0, 0), (0, 1)], weights=[9.0, 1.0], self_loops="drop")
        assert graph.edges.tolist() == [[0, 1]]
        assert graph.weights.tolist() == [1.0]

    def test_whole_floats_are_indices(self) -> None:
        assert Graph.from_edges(np.array([[0.0, 2.0]])).n_nodes == 3

    def test_empty(self) -> None:
        for graph in (Graph.from_edges([]), Graph.from_edges([], n_nodes=3)):
            assert graph.n_edges == 0
            assert graph.components[0] == graph.n_nodes
            assert graph.laplacian.shape == (graph.n_nodes, graph.n_nodes)
            assert str(graph.n_nodes) in repr(graph)

    def test_caller_keeps_its_arrays(self) -> None:
        edges, weights = np.array([[0, 1]]), np.ones(1)
        graph = Graph.from_edges(edges, weights=weights)
        edges[0], weights[0] = 7, 7.0
        assert graph.edges.tolist() == [[0, 1]]
        assert graph.weights.tolist() == [1.0]

    def test_immutable(self) -> None:
        graph = Graph.from_edges([(0, 1)], edge_data={"x": [1.0]})
        with pytest.raises(AttributeError, match="immutable"):
            graph.n_nodes = 3
        with pytest.raises(ValueError, match="read-only"):
            graph.weights[0] = 2.0
        with pytest.raises(TypeError):
            graph.edge_data["x"] = np.zeros(1)

    def test_largest_component(self) -> None:
        graph = Graph.from_edges([(0, 1), (2, 3), (3, 4)])
        part = graph.largest_component()
        assert part.names == (2, 3, 4)
        assert part.largest_component() is part

    def test_repr_tells_the_structure(self) -> None:
        graph = Graph.from_edges([(0, 1), (1, 2)], n_nodes=4)
        assert repr(graph) == "Graph(nodes=4, edges=2, components=2, degrees=0..2)"
        html = graph._repr_html_()
        assert html.startswith("<table>")
        assert "0..2" in html
