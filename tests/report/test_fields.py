from __future__ import annotations

import numpy as np
import pytest

import evenflow as ef
from evenflow.errors import InputError
from evenflow.graph import Graph
from evenflow.report import fields
from evenflow.report.camera import Camera
from evenflow.report.colours import Field
from evenflow.report.plots import plot_state

TETRAHEDRON = Graph.from_edges(
    [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]],
    positions=[[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]],
    triangles=[[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]],
)


@pytest.fixture(autouse=True)
def _close():
    yield
    from matplotlib import pyplot

    pyplot.close("all")


def test_lattice_is_an_image():
    w = np.arange(12.0)
    axes, bar = plot_state(ef.gallery.lattice(3, 4), w=w, unit="kelvin").axes
    np.testing.assert_array_equal(axes.images[0].get_array(), w.reshape(3, 4))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("column", "row")
    assert bar.get_ylabel() == "kelvin"


def test_phases_are_cyclic():
    w = np.linspace(-7.0, 7.0, 12)
    axes, bar = plot_state(ef.Kuramoto(ef.gallery.lattice(3, 4)), w=w).axes
    image = axes.images[0]
    np.testing.assert_allclose(image.get_array().ravel(), np.mod(w, 2 * np.pi))
    assert image.norm.vmin == 0.0
    assert image.norm.vmax == pytest.approx(2 * np.pi)
    assert image.get_cmap().name == "twilight"
    assert "phase" in bar.get_ylabel()
    assert [label.get_text() for label in bar.get_yticklabels()][-1] == r"$2\pi$"


def test_block_shows_three_planes():
    figure = plot_state(ef.gallery.lattice(3, 4, 5), w=np.arange(60.0))
    shapes = [axes.images[0].get_array().shape for axes in figure.axes[:3]]
    assert shapes == [(4, 5), (3, 5), (3, 4)]
    assert figure.axes[0].get_title(loc="right") == "$i = 1$"


def test_mesh_in_space_draws_far_faces_first():
    figure = plot_state(TETRAHEDRON, w=np.arange(4.0))
    faces = figure.axes[0].collections[0]
    assert len(faces.get_paths()) == 4
    camera = Camera.facing(TETRAHEDRON.positions)
    flat, depth = camera.project(TETRAHEDRON.positions)
    nearest = max(TETRAHEDRON.triangles.tolist(), key=lambda face: depth[face].sum())
    np.testing.assert_allclose(np.sort(faces.get_paths()[-1].vertices[:3], axis=0), np.sort(flat[nearest], axis=0))


def test_flat_mesh_is_interpolated_and_phases_are_not():
    graph = Graph.from_edges(
        [[0, 1], [1, 2], [2, 3], [0, 3], [0, 2]],
        positions=[[0.0, 0], [1, 0], [1, 1], [0, 1]],
        triangles=[[0, 1, 2], [0, 2, 3]],
    )
    smooth = plot_state(graph, w=np.arange(4.0)).axes[0]
    assert type(smooth.collections[0]).__name__ == "TriMesh"
    assert smooth.get_xlabel() == "$x$"
    cyclic = plot_state(graph, w=np.array([0.1, 0.1, 6.2, 6.2]), unit="rad").axes[0]
    means = cyclic.collections[0].get_array()
    # means of phases near 0 and 2 pi lie near 0 or 2 pi, not near pi
    assert (np.cos(means) > 0.9).all()


def test_network_gets_a_layout():
    graph = ef.gallery.karate()
    axes = plot_state(graph, w=np.arange(34.0)).axes[0]
    edges, nodes = axes.collections
    assert len(edges.get_segments()) == graph.n_edges
    assert len(nodes.get_offsets()) == 34


def test_positions_are_used():
    graph = Graph.from_edges([[0, 1], [1, 2]], positions=[[0.0, 0.0], [1.0, 0.0], [2.0, 5.0]])
    nodes = plot_state(graph, w=np.arange(3.0)).axes[0].collections[-1]
    np.testing.assert_allclose(nodes.get_offsets(), graph.positions)


def test_states_in_the_plane_are_positions():
    w = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 1.0]])
    nodes = plot_state(Graph.from_edges([[0, 1], [1, 2]]), w=w).axes[0].collections[-1]
    np.testing.assert_allclose(nodes.get_offsets(), w)


def test_states_of_many_components_are_shown_by_length():
    graph = ef.gallery.lattice(2, 2)
    image = plot_state(graph, w=np.ones((4, 9))).axes[0].images[0]
    np.testing.assert_allclose(image.get_array(), 3.0)


def test_large_networks_are_sampled(monkeypatch):
    monkeypatch.setattr(fields, "_MOST_LAID_OUT", 30)
    axes = plot_state(ef.gallery.ba(200), w=np.arange(200.0)).axes[0]
    assert len(axes.collections[-1].get_offsets()) == 30
    assert axes.get_title(loc="right") == "30 of 200 nodes"


def test_many_points_become_an_image(monkeypatch, rng):
    monkeypatch.setattr(fields, "_MOST_POINTS", 100)
    positions = rng.random((500, 2))
    graph = Graph.from_edges([[0, 1]], n_nodes=500, positions=positions)
    axes = plot_state(graph, w=positions[:, 0]).axes[0]
    image = axes.images[0]
    assert max(image.get_array().shape) <= fields._PIXELS
    columns = np.ma.masked_invalid(image.get_array()).mean(axis=0).compressed()
    assert np.all(np.diff(columns) > 0)


def test_energy_without_a_graph_is_a_profile():
    energy = ef.TorchEnergy(lambda w: (w**2).sum(), shape=(5,))
    axes = plot_state(energy, w=np.arange(5.0)).axes[0]
    assert axes.get_xlabel() == "node"


def test_missing_or_wrong_states():
    graph = ef.gallery.lattice(2, 2)
    with pytest.raises(InputError, match="states to draw are needed"):
        plot_state(graph)
    with pytest.raises(InputError, match=r"shape \(3,\), expected \(4,\)"):
        plot_state(graph, w=np.zeros(3))


def test_camera_is_orthonormal(rng):
    camera = Camera.facing(rng.random((20, 3)))
    axes = np.array([camera.right, camera.up, camera.towards])
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-14)
    assert np.linalg.det(axes) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("values", "colours", "limits"),
    [
        ([1.0, 4.0], "inferno", (1.0, 4.0)),
        ([-3.0, 4.0], "RdBu_r", (-4.0, 4.0)),
        ([-0.1, 10.0], "inferno", (-0.1, 10.0)),
        ([2.0, 2.0], "inferno", (1.5, 2.5)),
        ([np.nan, 2.0, 3.0], "inferno", (2.0, 3.0)),
    ],
)
def test_colour_maps(values, colours, limits):
    mappable = Field(np.array(values)).mappable()
    assert mappable.cmap.name == colours
    assert (mappable.norm.vmin, mappable.norm.vmax) == limits
