"""Readers of networks: every format, its rules, and the line of every error."""

from __future__ import annotations

import json
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp

from evenflow import gallery
from evenflow.errors import FileFormatError, InputError
from evenflow.graph import Graph
from evenflow.io import read_graph, read_mesh


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


class TestEdgeLists:
    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("a.txt", "# a comment\n10 20 1.5\n\n30 10 2\n"),
            ("a.txt", "% other\n10\t20\t1.5\n30\t10\t2"),
            ("a.csv", "source,target,weight\n10,20,1.5\n30,10,2\n"),
            ("a.csv", '"10"; 20 ;1.5\r\n30;10;2\r\n'),
            ("a.tsv", "i\tj\tw\n10\t20\t1.5\n30\t10\t2\n"),
            ("a.edges", "\ufeff10 20 1.5\n30 10 2\n"),
        ],
    )
    def test_separators_comments_headers(self, tmp_path: Path, name: str, text: str) -> None:
        graph = read_graph(write(tmp_path, name, text))
        assert graph.names == (10, 20, 30)
        assert graph.edges.tolist() == [[0, 1], [0, 2]]
        assert graph.weights.tolist() == [1.5, 2.0]

    def test_names(self, tmp_path: Path) -> None:
        assert read_graph(write(tmp_path, "a.txt", "u v\nv w\n")).names == ("u", "v", "w")
        assert read_graph(write(tmp_path, "a.txt", "0 1\n1 2\n")).names is None
        assert read_graph(write(tmp_path, "a.csv", "New York,Los Angeles\n")).names == ("New York", "Los Angeles")

    @pytest.mark.parametrize(
        ("text", "line", "message"),
        [
            ("0 1\n1\n", 2, "1 columns"),
            ("0 1\n1 2 3\n", 2, "3 columns, expected 2"),
            ("0 1 2 3\n", 1, "4 columns"),
            ("0 1 x\n", 1, "the weight is 'x'"),
            ("0 1 1\n\n0 2 nan\n", 3, "finite"),
            ("0 1 1_0\n", 1, "finite"),
            ("0 1\n# loop\n2 2\n", 3, "self-loop"),
            ("0 1 1\n2 3 1\n1 0 2\n", 3, "duplicates="),
            ('0,1\n"2,3\n', 2, "delimited"),
            ("0,1\n2,\n", 2, "columns"),
            ("# nothing\n", None, "no edges"),
        ],
    )
    def test_errors_name_the_line(self, tmp_path: Path, text: str, line: int | None, message: str) -> None:
        with pytest.raises(FileFormatError, match=message) as caught:
            read_graph(write(tmp_path, "a.txt", text))
        assert caught.value.line == line

    def test_rules(self, tmp_path: Path) -> None:
        path = write(tmp_path, "a.txt", "0 1 1\n1 0 2\n1 1 7\n")
        graph = read_graph(path, duplicates="sum", self_loops="drop")
        assert graph.weights.tolist() == [3.0]
        with pytest.raises(InputError, match=r"'weights' is no option for 'a\.txt': there are duplicates"):
            read_graph(path, weights=3)


class TestMatrixMarket:
    def test_round_trip(self, tmp_path: Path) -> None:
        graph = gallery.karate()
        for matrix in (graph.to_scipy(), graph.to_scipy().toarray()):
            scipy.io.mmwrite(tmp_path / "a.mtx", matrix)
            back = read_graph(tmp_path / "a.mtx")
            np.testing.assert_array_equal(back.edges, graph.edges)
            np.testing.assert_array_equal(back.weights, graph.weights)

    def test_pattern_and_rules(self, tmp_path: Path) -> None:
        text = "%%MatrixMarket matrix coordinate pattern general\n% x\n3 3 3\n1 2\n2 1\n3 3\n"
        path = write(tmp_path, "a.mtx", text)
        with pytest.raises(FileFormatError, match="self-loop"):
            read_graph(path)
        assert read_graph(path, self_loops="drop").weights.tolist() == [1.0]
        lower = write(tmp_path, "b.mtx", text.replace("2 1\n", "2 3\n"))
        with pytest.raises(FileFormatError, match="symmetrize="):
            read_graph(lower)
        assert read_graph(lower, self_loops="drop", symmetrize="max").n_edges == 2

    @pytest.mark.parametrize(
        ("text", "line", "message"),
        [
            ("", 1, "not a MatrixMarket file"),
            ("%%MatrixMarket matrix coordinate complex general\n1 1 1\n1 1 1 1\n", 1, "complex"),
            ("%%MatrixMarket matrix coordinate real general\n", None, "ends before"),
            ("%%MatrixMarket matrix coordinate real general\n2 3 1\n1 1 1\n", 2, "2 x 3"),
            ("%%MatrixMarket matrix coordinate real general\n2 2 x\n", 2, "a size is 'x'"),
            ("%%MatrixMarket matrix coordinate real general\n2 2 99999999\n1 2 1\n", 2, "truncated"),
            ("%%MatrixMarket matrix coordinate real general\n999999999 999999999 1\n1 2 1\n", 2, "nearly all"),
            ("%%MatrixMarket matrix array real general\n99999 99999\n1\n", 2, "truncated"),
            ("%%MatrixMarket matrix coordinate real general\n2 2 1\n1 3 1\n", 3, "expected 1 to 2"),
            ("%%MatrixMarket matrix coordinate real general\n2 2 1\n1 two 1\n", 3, "malformed"),
            ("%%MatrixMarket matrix coordinate real general\n2 2 2\n1 2 1\n2 1 nan\n", 4, "finite"),
            ("%%MatrixMarket matrix coordinate real general\n2 2 2\n% x\n1 2 1\n2 1\n", 5, "malformed"),
            ("%%MatrixMarket matrix coordinate real general\n2 2 1\n1 2\n", 3, "2 numbers, expected 3"),
            ("%%MatrixMarket matrix coordinate real symmetric\n2 2 1\n1 2 1\n", 3, "above the diagonal"),
            ("%%MatrixMarket matrix coordinate real skew-symmetric\n2 2 1\n2 1 1\n", 1, "skew-symmetric"),
            ("%%MatrixMarket matrix coordinate real symmetric\n2 2 2\n2 1 1\n2 1 2\n", 4, "duplicates="),
            ("%%MatrixMarket matrix coordinate real general\n2 2 2\n1 2 1\n2 1 3\n", 3, "symmetrize="),
        ],
    )
    def test_errors(self, tmp_path: Path, text: str, line: int | None, message: str) -> None:
        with pytest.raises(FileFormatError, match=message) as caught:
            read_graph(write(tmp_path, "a.mtx", text))
        assert caught.value.line == line

    def test_matrix_of_a_finite_element_mesh(self, tmp_path: Path) -> None:
        graph = gallery.airfoil()
        scipy.io.mmwrite(tmp_path / "a.mtx", sp.csr_array(graph.laplacian), symmetry="symmetric")
        back = read_graph(tmp_path / "a.mtx", self_loops="drop")
        np.testing.assert_array_equal(back.edges, graph.edges)
        assert set(back.weights) == {-1.0}


class TestNetworkFormats:
    def test_gml(self, tmp_path: Path) -> None:
        source = nx.les_miserables_graph()
        nx.write_gml(source, tmp_path / "a.gml")
        graph = read_graph(tmp_path / "a.gml")
        expected = Graph.from_networkx(source)
        assert graph.names == expected.names
        np.testing.assert_array_equal(graph.weights, expected.weights)

    def test_gml_positions_and_values(self, tmp_path: Path) -> None:
        node = 'node [ id {0} label "{1}" graphics [ x {0}.5 y 2.0 ] ]\n'
        text = "graph [\n" + node.format(3, "a") + node.format(4, "b") + "edge [ source 4 target 3 value 2.5 ]\n]\n"
        graph = read_graph(write(tmp_path, "a.gml", text), weight="value")
        assert graph.names == ("a", "b")
        assert graph.weights.tolist() == [2.5]
        assert graph.positions.tolist() == [[3.5, 2.0], [4.5, 2.0]]
        same = read_graph(write(tmp_path, "b.gml", text.replace('"b"', '"a"')))
        assert same.names == (3, 4)

    @pytest.mark.parametrize(
        ("text", "line"),
        [("graph [\n node [ id 0 ]\n ?\n]\n", 3), ("", None), ("graph [\n node [ id 0 ]\n", None), ("x 1\n", None)],
    )
    def test_gml_errors(self, tmp_path: Path, text: str, line: int | None) -> None:
        with pytest.raises(FileFormatError, match="not a GML file") as caught:
            read_graph(write(tmp_path, "a.gml", text))
        if line is not None:
            assert caught.value.line == line

    def test_gml_directed(self, tmp_path: Path) -> None:
        text = "graph [ directed 1 node [ id 0 ] node [ id 1 ] edge [ source 0 target 1 ] ]"
        path = write(tmp_path, "a.gml", text)
        with pytest.raises(FileFormatError, match="symmetrize"):
            read_graph(path)
        assert read_graph(path, symmetrize="max").n_edges == 1

    @pytest.mark.parametrize("key", ["links", "edges"])
    def test_node_link(self, tmp_path: Path, key: str) -> None:
        source = nx.Graph()
        source.add_node("a", pos=(0.0, 1.0))
        source.add_node("b", pos=(2.0, 3.0))
        source.add_edge("b", "a", weight=4.0)
        path = write(tmp_path, "a.json", json.dumps(nx.node_link_data(source, edges=key)))
        graph = read_graph(path)
        assert graph.names == ("a", "b")
        assert graph.weights.tolist() == [4.0]
        assert graph.positions.tolist() == [[0.0, 1.0], [2.0, 3.0]]

    def test_node_link_real(self, data: Path) -> None:
        path = data / "neulay_rg_n1k_e4k.json"
        graph = read_graph(path)
        source = nx.node_link_graph(json.loads(path.read_text()), edges="links")
        assert graph.n_nodes == 1000
        assert graph.n_edges == source.number_of_edges()
        np.testing.assert_array_equal(graph.adjacency.toarray(), nx.to_numpy_array(source))
        assert graph.positions[0].tolist() == source.nodes[0]["pos"]

    @pytest.mark.parametrize(
        ("text", "line", "message"),
        [
            ("{\n!", 2, "not JSON"),
            ("[1]", None, "a JSON list"),
            ("{}", None, "'nodes' is missing"),
            ('{"nodes": [1]}', None, "'nodes' is missing or no list of objects"),
            ('{"nodes": [{"id": 0}, {"id": 0}], "links": []}', None, r"nodes\[1\] has the id 0 of nodes"),
            ('{"nodes": [{"id": 0}], "links": [{"source": 0}]}', None, r"links\[0\] has no 'target'"),
            ('{"nodes": [{"id": 0}], "links": [{"source": 0, "target": 5}]}', None, "the target '5'"),
            ('{"nodes": [{"id": {}}], "links": []}', None, "expected a string or a number"),
            ('{"nodes": [{"id": 0, "pos": [1]}], "links": []}', None, "position of nodes"),
            ('{"nodes": [{"id": 0, "pos": [1, NaN]}], "links": []}', None, "finite"),
            ('{"nodes": [{"id": 0, "pos": [1, 2]}, {"id": 1}], "links": []}', None, "all nodes"),
            ('{"nodes": [{"id": 0}, {"id": 1}], "links": [{"source": 0, "target": 1, "weight": "x"}]}', None, "weight"),
            ('{"nodes": [{"id": 0}], "links": [{"source": 0, "target": 0}]}', None, "self-loop"),
            ('{"directed": true, "nodes": [{"id": 0}, {"id": 1}], "links": [{"source": 0, "target": 1}]}', None,
             "symmetrize"),
            ("[" * 100_000, None, "not JSON"),
            ('{"nodes": ' + "9" * 6000 + "}", None, "not JSON"),
        ],
    )  # fmt: skip
    def test_node_link_errors(self, tmp_path: Path, text: str, line: int | None, message: str) -> None:
        with pytest.raises(FileFormatError, match=message) as caught:
            read_graph(write(tmp_path, "a.json", text))
        assert caught.value.line == line


POSES = """VERTEX_SE2 0 0 0 0
VERTEX_SE2 1 1 0 0.5
VERTEX_SE2 2 1 1 0.75
FIX 0
EDGE_SE2 0 1 1 0 0.5 1 0 0 1 0 10
# closing
EDGE_SE2 2 0 1 1 -0.75 1 0 0 1 0 20
"""


class TestPoseGraphs:
    def test_offsets_hold_at_the_true_headings(self, tmp_path: Path) -> None:
        graph = read_graph(write(tmp_path, "a.g2o", POSES))
        heading = np.array([0.0, 0.5, 0.75])
        i, j = graph.edges.T
        np.testing.assert_allclose(heading[i] - heading[j], graph.edge_data["offset"])
        assert graph.oriented == {"offset"}
        assert graph.weights.tolist() == [10.0, 20.0]
        assert graph.positions.tolist() == [[0, 0], [1, 0], [1, 1]]

    def test_edges_alone(self, tmp_path: Path) -> None:
        text = "EDGE_SE2 7 3 1 0 0.5 1 0 0 1 0 10\n"
        graph = read_graph(write(tmp_path, "a.g2o", text))
        assert graph.names == (3, 7)
        assert graph.positions is None
        assert graph.edge_data["offset"].tolist() == [0.5]

    @pytest.mark.parametrize(
        ("old", "new", "line", "message"),
        [
            ("FIX 0", "VERTEX_SE3:QUAT 4 0 0 0 0 0 0 1", 4, "not supported"),
            ("VERTEX_SE2 2", "VERTEX_SE2 1", 3, "given twice"),
            ("0.5 1 0 0 1 0 10", "0.5 1 0 0 1 0", 5, "10 fields"),
            ("EDGE_SE2 2 0", "EDGE_SE2 2 9", 7, "does not have"),
            ("1 0 20", "1 0 -20", 7, "information"),
            ("-0.75 1", "inf 1", 7, "finite"),
            ("EDGE_SE2 2 0", "EDGE_SE2 1 0", 7, "duplicates="),
        ],
    )
    def test_errors(self, tmp_path: Path, old: str, new: str, line: int, message: str) -> None:
        assert old in POSES
        with pytest.raises(FileFormatError, match=message) as caught:
            read_graph(write(tmp_path, "a.g2o", POSES.replace(old, new)))
        assert caught.value.line == line


CASE = """function mpc = case3
mpc.version = '2';
mpc.bus = [ % number type
  1 3 0; 5 1 0
  9 4 0;
];
mpc.branch = [
  1 5 0.01 0.5 0 0 0 0 0 0 1 -360 360; 1 5 0.01 0.25 0 0 0 0 0 0 1 -360 360;
  5 9 0.01 0.5 0 0 0 0 0 0 0 -Inf Inf;
];
"""


class TestPowerGrids:
    def test_couplings(self, tmp_path: Path) -> None:
        graph = read_graph(write(tmp_path, "a.m", CASE))
        assert graph.names == (1, 5, 9)
        assert graph.edges.tolist() == [[0, 1]]
        assert graph.weights.tolist() == [6.0]  # parallel branches add: 1/0.5 + 1/0.25
        assert graph.isolated.tolist() == [2]

    def test_real_cases(self, data: Path) -> None:
        graph = read_graph(data / "pglib_opf_case118_ieee.m")
        assert (graph.n_nodes, graph.n_edges, graph.components[0]) == (118, 179, 1)  # 186 branches, 7 of them parallel
        assert graph.names[:3] == (1, 2, 3)
        first = graph.edges.tolist().index([0, 1])
        assert graph.weights[first] == pytest.approx(1 / 0.0999)
        large = read_graph(data / "pglib_opf_case1354_pegase.m")
        assert (large.n_nodes, large.n_edges, large.components[0]) == (1354, 1710, 1)

    @pytest.mark.parametrize(
        ("old", "new", "line", "message"),
        [
            ("mpc.branch", "mpc.other", None, "no table mpc.branch"),
            ("9 4 0", "5 4 0", 5, "given twice"),
            ("9 4 0", "9.5 4 0", 5, "positive integer"),
            ("9 4 0", "9", 5, "1 columns"),
            ("5 9 0.01 0.5 0 0 0 0 0 0 0", "5 8 0.01 0.5 0 0 0 0 0 0 0", 9, "names bus 8"),
            ("5 9 0.01 0.5 0 0 0 0 0 0 0", "5 9 0.01 0 0 0 0 0 0 0 1", 9, "infinite"),
            ("5 9 0.01 0.5 0 0 0 0 0 0 0", "5 9 0.01 x 0 0 0 0 0 0 1", 9, "the reactance x is 'x'"),
            ("5 9 0.01 0.5 0 0 0 0 0 0 0", "5 9 0.01 0.5 0 0 0 0 0 0 2", 9, "status"),
            ("5 9 0.01 0.5 0 0 0 0 0 0 0", "5 5 0.01 0.5 0 0 0 0 0 0 1", 9, "self-loop"),
            ("Inf;\n];", "Inf;\n", 7, "closing"),
            ("mpc.version = '2';", "mpc.bus = [];", 3, "given twice"),
        ],
    )
    def test_errors(self, tmp_path: Path, old: str, new: str, line: int | None, message: str) -> None:
        assert old in CASE
        with pytest.raises(FileFormatError, match=message) as caught:
            read_graph(write(tmp_path, "a.m", CASE.replace(old, new)))
        assert caught.value.line == line


class TestDispatch:
    def test_specs(self) -> None:
        assert read_graph("lattice:3x3").n_nodes == 9
        with pytest.raises(InputError, match="did you mean 'lattice"):
            read_graph("latice:3x3")
        with pytest.raises(InputError, match="takes its options after colons"):
            read_graph("lattice:3x3", periodic=True)

    def test_paths(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no file"):
            read_graph(tmp_path / "absent.ply")
        with pytest.raises(InputError, match=r"the suffixes are .ply .obj .off .mtx"):
            read_graph(write(tmp_path, "a.xyz", ""))
        with pytest.raises(InputError, match="no mesh reader"):
            read_mesh(tmp_path / "a.gml")
        (tmp_path / "folder.csv").mkdir()
        with pytest.raises(InputError, match="a folder"):
            read_graph(tmp_path / "folder.csv")
        with pytest.raises(InputError, match="no file"):
            read_graph("\0.csv")

    def test_not_text(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_bytes(b"0,1\n\xff\xfe,2\n")
        with pytest.raises(FileFormatError, match="not UTF-8") as caught:
            read_graph(tmp_path / "a.csv")
        assert caught.value.line == 2
