"""No file, however damaged, gets anything out of a reader but a graph or one of the library's own errors."""

from __future__ import annotations

import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path

import networkx as nx
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st

from evenflow import gallery
from evenflow.errors import EvenflowError, EvenflowWarning
from evenflow.io import read_graph
from evenflow.io.read import MESH_READERS, READERS

MESH = (
    "element vertex 4\nproperty float x\nproperty float y\nproperty float z\nelement face 3\n"
    "property list uchar int vertex_indices\nend_header\n"
)
TEXTS = {
    "ply": f"ply\nformat ascii 1.0\n{MESH}0 0 0\n1 0 0\n1 1 0\n0 1 0\n3 0 1 2\n3 0 2 3\n4 0 1 2 3\n",
    "obj": "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 1/1 2/2 3/3\nf -4 -2 -1\nl 1 3\n",
    "off": "OFF\n4 2 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n3 0 1 2\n3 0 2 3\n",
    "mtx": "%%MatrixMarket matrix coordinate real symmetric\n% c\n4 4 3\n2 1 1.5\n3 1 -2\n4 2 1e3\n",
    "csv": "source,target,weight\na,b,1.0\nb,c,2.5\n'c',a,3\n",
    "txt": "# comment\n0 1 1.0\n1 2 2.5\n2 0 3\n",
    "g2o": "VERTEX_SE2 0 0 0 0\nVERTEX_SE2 1 1 0 0.5\nFIX 0\nEDGE_SE2 0 1 1 0 0.5 1 0 0 1 0 10\n",
    "m": "mpc.bus = [\n1 3 0;\n2 1 0;\n];\nmpc.branch = [\n1 2 0.01 0.5 0 0 0 0 0 0 1;\n];\n",
    "json": '{"directed": false, "nodes": [{"id": 0, "pos": [0, 1]}, {"id": "a", "pos": [1, 2]}],'
    ' "links": [{"source": 0, "target": "a", "weight": 2.0}]}',
    "gml": 'graph [\n node [ id 0 label "a" graphics [ x 1.0 y 2 ] ]\n node [ id 1 label "b" ]\n'
    " edge [ source 0 target 1 weight 2.5 ]\n]\n",
}
JUNK = [
    b"",
    b"-1",
    b"0",
    b"1e999",
    b"nan",
    b"99999999999999999999",
    b"4294967295",
    b"\n",
    b" ",
    b"\0",
    b"\xff",
    b"]",
    b"[",
    b'"',
]


def check_reads_or_refuses(path: Path, content: bytes) -> None:
    """Read, and let only the library's own errors and warnings pass."""
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EvenflowWarning)
        try:
            graph = read_graph(path)
        except EvenflowError:
            graph = None
    if graph is not None:
        assert graph.n_nodes <= 16 * len(content) + 16


@st.composite
def damage(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """A few cuts, flips, repetitions and strange words, at places relative to the length."""
    steps = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["flip", "cut", "repeat", "junk", "end"]), st.floats(0, 1), st.floats(0, 1),
                st.integers(0, 255), st.sampled_from(JUNK),
            ),
            min_size=1, max_size=4,
        )
    )  # fmt: skip

    def apply(content: bytes) -> bytes:
        for kind, where, length, byte, junk in steps:
            at = int(where * max(len(content) - 1, 0))
            stop = at + 1 + int(length * 12)
            if kind == "flip":
                content = content[:at] + bytes([byte]) + content[at + 1 :]
            elif kind == "cut":
                content = content[:at] + content[stop:]
            elif kind == "repeat":
                content = content[:stop] + content[at:]
            elif kind == "junk":
                content = content[:at] + junk + content[stop:]
            elif kind == "end":
                content = content[:at]
        return content

    return apply


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def written(folder: Path) -> dict[str, bytes]:
    """Files as other programs write them, with the coding in the name."""
    import meshio

    knot = gallery.mesh("knot")
    mesh = meshio.Mesh(knot.positions, [("triangle", knot.triangles)])
    for suffix in ("ply", "obj", "off"):
        meshio.write(folder / f"meshio.{suffix}", mesh)
    scipy.io.mmwrite(folder / "scipy.mtx", gallery.karate().to_scipy())
    nx.write_gml(nx.les_miserables_graph(), folder / "networkx.gml")
    nx.write_weighted_edgelist(nx.karate_club_graph(), folder / "networkx.edgelist")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class TestFuzz:
    def test_every_suffix_is_covered(self) -> None:
        covered = {f".{suffix}" for suffix in TEXTS} | {
            ".tsv",
            ".edges",
            ".edgelist",
        }  # those three share the one of txt
        assert covered == set(READERS) | set(MESH_READERS)

    @pytest.mark.parametrize("suffix", TEXTS)
    def test_the_undamaged_reads(self, folder: Path, suffix: str) -> None:
        path = folder / f"whole.{suffix}"
        path.write_text(TEXTS[suffix])
        assert read_graph(path).n_edges > 0

    @pytest.mark.parametrize("suffix", TEXTS)
    @settings(max_examples=120)
    @given(change=damage())
    def test_damaged_small_files(self, folder: Path, suffix: str, change: Callable[[bytes], bytes]) -> None:
        check_reads_or_refuses(folder / f"small.{suffix}", change(TEXTS[suffix].encode()))

    @pytest.mark.parametrize("suffix", TEXTS)
    @settings(max_examples=60)
    @given(content=st.binary(max_size=80) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace")))
    def test_any_bytes(self, folder: Path, suffix: str, content: bytes) -> None:
        check_reads_or_refuses(folder / f"any.{suffix}", content)
        first = TEXTS[suffix].split("\n")[0].encode()
        check_reads_or_refuses(folder / f"any.{suffix}", first + b"\n" + content)

    @settings(max_examples=120)
    @given(change=damage(), pick=st.integers(0, 5))
    def test_damaged_files_of_other_programs(
        self, folder: Path, written: dict[str, bytes], change: Callable[[bytes], bytes], pick: int
    ) -> None:
        name = sorted(written)[pick]
        check_reads_or_refuses(folder / f"damaged-{name}", change(written[name]))

    @pytest.mark.parametrize("name", ["bunny.ply", "neulay_rg_n1k_e4k.json", "pglib_opf_case118_ieee.m"])
    @settings(max_examples=40)
    @given(change=damage())
    def test_damaged_real_files(self, folder: Path, data: Path, name: str, change: Callable[[bytes], bytes]) -> None:
        check_reads_or_refuses(folder / f"damaged-{name}", change((data / name).read_bytes()))

    @settings(max_examples=80)
    @given(change=damage())
    def test_damaged_header_of_a_binary_mesh(self, folder: Path, data: Path, change: Callable[[bytes], bytes]) -> None:
        content = (data / "bunny.ply").read_bytes()
        stop = content.index(b"end_header")
        check_reads_or_refuses(folder / "header.ply", change(content[:stop]) + content[stop:])

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("a.ply", TEXTS["ply"].replace("vertex 4", "vertex 999999999999")),
            ("a.ply", TEXTS["ply"].replace("4 0 1 2 3", "999999999 0 1 2 3")),
            ("a.off", TEXTS["off"].replace("4 2 0", "999999999 2 0")),
            ("a.mtx", TEXTS["mtx"].replace("4 4 3", "999999999 999999999 3")),
            ("a.mtx", TEXTS["mtx"].replace("4 4 3", "4 4 999999999999")),
            ("a.mtx", "%%MatrixMarket matrix array real general\n4000000 4000000\n1\n"),
            ("a.txt", "0 999999999999\n"),
            ("a.g2o", "EDGE_SE2 0 999999999999 1 0 0.5 1 0 0 1 0 10\n"),
            ("a.m", TEXTS["m"].replace("2 1 0;", "999999999999 1 0;")),
            ("a.gml", TEXTS["gml"].replace("id 1", "id 999999999999")),
            ("a.obj", TEXTS["obj"].replace("f 1/1", "f 999999999999")),
        ],
    )
    def test_a_small_file_takes_little_memory(self, folder: Path, name: str, text: str) -> None:
        check_reads_or_refuses(folder / name, text.encode())  # imports happen here, outside the measurement
        tracemalloc.start()
        check_reads_or_refuses(folder / name, text.encode())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2e6
