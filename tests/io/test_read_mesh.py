"""Readers of meshes: PLY in its three codings, OBJ and OFF, against meshio and by hand."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import meshio
import numpy as np
import pytest

from evenflow import gallery
from evenflow.errors import EvenflowWarning, FileFormatError
from evenflow.graph import Graph
from evenflow.io import read_graph, read_mesh

ASCII = """ply
format ascii 1.0
comment two polygons
element vertex 5
property float x
property float y
property float z
property uchar red
element face 2
property list uchar int vertex_indices
property uchar flags
end_header
0 0 0 255
1 0 0 255
1 1 0 255
0 1 0 255

2 0.5 1e-1 255
4 0 1 2 3 7
3 1 4 2 7
"""
OBJ = """# a quad and a triangle
mtllib none.mtl
v 0 0 0
v 1 0 0
v 1 1 0 0.5 0.5 0.5
v 0 1 0
vn 0 0 1
v 2 0.5 0.1
f 1//1 2//1 \\
  3//1 4//1
f -4/1/1 5 3
"""
OFF = "OFF # text\n5 2 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n2 0.5 0.1\n4 0 1 2 3\n3 1 4 2 255 0 0\n"
TEXTS = {"a.ply": ASCII, "a.obj": OBJ, "a.off": OFF}


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def binary(order: str, ragged: bool = True) -> bytes:
    """Bytes of the mesh above (or of its triangle alone) in a binary coding."""
    sign = {"little": "<", "big": ">"}[order]
    faces = [[0, 1, 2, 3], [1, 4, 2]] if ragged else [[1, 4, 2], [0, 1, 2]]
    head = (
        f"ply\r\nformat binary_{order}_endian 1.0\r\nelement vertex 5\r\nproperty double x\r\nproperty double y\r\n"
        "property double z\r\nelement face 2\r\nproperty list uchar int vertex_index\r\nproperty uchar flags\r\n"
        "end_header\r\n"
    ).encode()
    points = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [2, 0.5, 0.1]], dtype=sign + "f8").tobytes()
    body = b"".join(bytes([len(face)]) + np.array(face, dtype=sign + "i4").tobytes() + b"\x07" for face in faces)
    return head + points + body


class TestFormats:
    @pytest.mark.parametrize("name", TEXTS)
    def test_quad_and_triangle(self, tmp_path: Path, name: str) -> None:
        graph = read_graph(write(tmp_path, name, TEXTS[name]))
        assert graph.edges.tolist() == [[0, 1], [0, 3], [1, 2], [1, 4], [2, 3], [2, 4]]
        assert graph.triangles.tolist() == [[0, 1, 2], [0, 2, 3], [1, 4, 2]]
        assert graph.positions[4].tolist() == [2.0, 0.5, 0.1]
        assert graph.names is None

    @pytest.mark.parametrize("order", ["little", "big"])
    def test_binary(self, tmp_path: Path, order: str) -> None:
        path = tmp_path / "a.ply"
        path.write_bytes(binary(order))
        expected = read_graph(write(tmp_path, "b.ply", ASCII))
        graph = read_graph(path)
        np.testing.assert_array_equal(graph.edges, expected.edges)
        np.testing.assert_array_equal(graph.triangles, expected.triangles)
        np.testing.assert_array_equal(graph.positions, expected.positions)
        path.write_bytes(binary(order, ragged=False))
        with pytest.warns(EvenflowWarning, match="1 of 5 vertices"):
            assert read_graph(path).triangles.tolist() == [[1, 4, 2], [0, 1, 2]]

    @pytest.mark.parametrize(
        ("suffix", "options"), [("ply", {"binary": True}), ("ply", {"binary": False}), ("obj", {}), ("off", {})]
    )
    def test_what_meshio_writes(self, tmp_path: Path, suffix: str, options: dict) -> None:
        source = gallery.mesh("knot")
        path = tmp_path / f"a.{suffix}"
        meshio.write(path, meshio.Mesh(source.positions, [("triangle", source.triangles)]), **options)
        graph = read_mesh(path)
        np.testing.assert_array_equal(graph.edges, source.edges)
        np.testing.assert_array_equal(graph.triangles, source.triangles)
        np.testing.assert_allclose(graph.positions, source.positions, atol=1e-9)

    def test_bunny(self, data: Path) -> None:
        graph = Graph.from_mesh(data / "bunny.ply")
        assert (graph.n_nodes, graph.n_edges, len(graph.triangles)) == (2503, 7503, 5002)
        reference = meshio.read(data / "bunny.ply")
        np.testing.assert_array_equal(graph.positions, reference.points)
        np.testing.assert_array_equal(graph.triangles, reference.cells_dict["triangle"])

    def test_edges_of_ply_and_lines_of_obj(self, tmp_path: Path) -> None:
        text = (
            "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nelement edge 2\n"
            "property int vertex1\nproperty int vertex2\nend_header\n0 0\n1 0\n2 0\n0 1\n1 2\n"
        )
        graph = read_mesh(write(tmp_path, "a.ply", text))
        assert graph.edges.tolist() == [[0, 1], [1, 2]]
        assert graph.positions.shape == (3, 2)
        assert graph.triangles is None
        graph = read_mesh(write(tmp_path, "a.obj", "v 0 0 0\nv 1 0 0\nv 2 0 0\nl 1 2 3\n"))
        assert graph.edges.tolist() == [[0, 1], [1, 2]]

    @pytest.mark.parametrize("name", TEXTS)
    def test_unused_vertices(self, tmp_path: Path, name: str) -> None:
        text = {
            "a.ply": ASCII.replace("vertex 5", "vertex 6")
            .replace("2 0.5", "9 9 9 255\n2 0.5")
            .replace("1 4 2", "1 5 2"),
            "a.obj": OBJ.replace("v 2 0.5", "v 9 9 9\nv 2 0.5").replace("f -4/1/1 5", "f -5/1/1 6"),
            "a.off": OFF.replace("5 2 0", "6 2 0").replace("2 0.5", "9 9 9\n2 0.5").replace("1 4 2", "1 5 2"),
        }[name]
        path = write(tmp_path, name, text)
        with pytest.warns(EvenflowWarning, match=r"1 of 6 vertices \(first: 4\) lie in no face"):
            graph = read_mesh(path)
        assert graph.isolated.tolist() == [4]
        dropped = read_graph(path, drop_unused=True)
        assert dropped.n_nodes == 5
        assert dropped.names == (0, 1, 2, 3, 5)
        assert dropped.triangles.tolist() == [[0, 1, 2], [0, 2, 3], [1, 4, 2]]

    def test_degenerate_faces(self, tmp_path: Path) -> None:
        path = write(tmp_path, "a.off", OFF.replace("3 1 4 2", "4 1 4 4 2"))
        with pytest.raises(FileFormatError, match="self-loop") as caught:
            read_mesh(path)
        assert caught.value.line == 9
        assert read_mesh(path, self_loops="drop").triangles.tolist() == [[0, 1, 2], [0, 2, 3], [1, 4, 2]]


class TestErrors:
    @pytest.mark.parametrize(
        ("name", "old", "new", "line", "message"),
        [
            ("a.ply", "ply\n", "plx\n", 1, "not a PLY"),
            ("a.ply", "end_header", "end", None, "end_header"),
            ("a.ply", "format ascii 1.0\n", "", None, "'format'"),
            ("a.ply", "format ascii", "format utf8", 2, "no header line"),
            ("a.ply", "element vertex 5", "element vertex five", 4, "the number of elements"),
            ("a.ply", "element vertex 5", "element vertex -5", 4, "negative"),
            ("a.ply", "element vertex 5", "element vertex 999999999999", 4, "only 7 lines"),
            ("a.ply", "element vertex 5", "element vertex 4", 20, "more lines"),
            ("a.ply", "property float x", "property quad x", 5, "no property"),
            ("a.ply", "property float x", "property float y", 6, "declared twice"),
            ("a.ply", "property float x", "property float q", None, "properties x and y"),
            ("a.ply", "vertex_indices", "corners", None, "no list vertex_indices"),
            ("a.ply", "1 0 0 255", "1 0 zero 255", 14, "'z' is 'zero'"),
            ("a.ply", "1 0 0 255", "1 0 nan 255", 14, "finite"),
            ("a.ply", "1 0 0 255", "1 0 0", 14, "the line ends"),
            ("a.ply", "4 0 1 2 3 7", "9 0 1 2 3 7", 19, "promises 9"),
            ("a.ply", "4 0 1 2 3 7", "4 0 1 2 5 7", 19, "names vertex 5, but there are 5"),
            ("a.ply", "4 0 1 2 3 7", "4 0 1 2 2.5 7", None, "expected integers"),
            ("a.ply", "3 1 4 2 7", "2 1 4 7", 20, "2 corners"),
            ("a.ply", "3 1 4 2 7\n", "", 9, "only 1 lines"),
            ("a.ply", "3 1 4 2 7\n", "3 1 4 2 7\n1\n", 21, "more lines"),
            ("a.obj", "v 1 0 0", "v 1 0", 4, "2 coordinates"),
            ("a.obj", "v 1 0 0", "v 1 0 x", 4, "a coordinate is 'x'"),
            ("a.obj", "vn 0 0 1", "what 0 0 1", 7, "no statement"),
            ("a.obj", "f -4/1/1 5 3", "f 0 5 3", 11, "numbered from 1"),
            ("a.obj", "f -4/1/1 5 3", "f -9 5 3", 11, "beyond the first"),
            ("a.obj", "f -4/1/1 5 3", "f 1 2 7", 11, "names vertex 6"),
            ("a.obj", "f -4/1/1 5 3", "f 1 2", 11, "2 corners"),
            ("a.obj", "f 1//1 2//1 \\\n  3//1 4//1\nf -4/1/1 5 3\n", "", None, "point cloud"),
            ("a.off", "OFF", "FFO", 1, "not an OFF"),
            ("a.off", "OFF # text", "OFF BINARY", 1, "binary"),
            ("a.off", "5 2 0", "5 2 0 0", 2, "expected the numbers"),
            ("a.off", "5 2 0", "5 999999999 0", 2, "truncated"),
            ("a.off", "1 1 0\n", "1 1\n", 5, "2 coordinates"),
            ("a.off", "3 1 4 2 ", "9 1 4 2 ", 9, "promises '9' corners"),
            ("a.off", "3 1 4 2 ", "3 1 4 -2 ", 9, "names vertex -2"),
        ],
    )
    def test_text(self, tmp_path: Path, name: str, old: str, new: str, line: int | None, message: str) -> None:
        assert old in TEXTS[name]
        with pytest.raises(FileFormatError, match=message) as caught:
            read_graph(write(tmp_path, name, TEXTS[name].replace(old, new, 1)))
        assert caught.value.line == line

    @pytest.mark.parametrize("ragged", [True, False])
    def test_truncated_binary(self, tmp_path: Path, ragged: bool) -> None:
        content = binary("little", ragged)
        path = tmp_path / "a.ply"
        for size in range(0, len(content), 3):
            path.write_bytes(content[:size])
            with pytest.raises(FileFormatError):
                read_graph(path)
        path.write_bytes(content + b"\0")
        with pytest.raises(FileFormatError, match="1 bytes more"):
            read_graph(path)

    @pytest.mark.parametrize("element", ["vertex 5", "face 2"])
    def test_a_header_cannot_claim_memory(self, tmp_path: Path, element: str) -> None:
        path = tmp_path / "a.ply"
        name = element.split(maxsplit=1)[0]
        path.write_bytes(binary("little").replace(element.encode(), f"{name} 4000000000".encode()))
        tracemalloc.start()
        with pytest.raises(FileFormatError, match="truncated"):
            read_graph(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 5e6
