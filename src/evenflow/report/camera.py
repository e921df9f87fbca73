"""Camera: orthographic view of points in space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evenflow.energy.base import FloatArray

__all__ = ["Camera"]


@dataclass(frozen=True)
class Camera:
    """Three orthonormal vectors: to the right, upwards, and towards the viewer, each of shape (3,)."""

    right: FloatArray
    up: FloatArray
    towards: FloatArray

    @classmethod
    def facing(cls, points: FloatArray) -> Camera:
        """Choose a view of ``points``, shape (n, 3).

        Things that are flat in z are terrain, seen from above with z up; all others are models, seen from the
        front with y up, as mesh files mostly have it.
        """
        extent = np.ptp(points, axis=0)
        x, y, z = np.eye(3)
        terrain = extent[2] < 0.6 * min(extent[0], extent[1])
        sky, front, elevation, azimuth = (z, -y, 0.7, 0.45) if terrain else (y, z, 0.25, 0.35)
        towards = np.cos(elevation) * (np.sin(azimuth) * x + np.cos(azimuth) * front) + np.sin(elevation) * sky
        right = np.cross(sky, towards)
        right /= np.linalg.norm(right)
        return cls(right, np.cross(towards, right), towards)

    def project(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Picture coordinates, shape (..., 2), and depth towards the viewer, shape (...)."""
        return np.stack([points @ self.right, points @ self.up], axis=-1), points @ self.towards

    def shade(self, triangles: FloatArray, ambient: float) -> npt.NDArray[np.float64]:
        """Brightness in [ambient, 1] of triangles, shape (t, 3, 3), lit from the upper left; both sides count."""
        normal = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
        length = np.linalg.norm(normal, axis=1)
        light = self.towards + 0.5 * self.up - 0.4 * self.right
        cosine = np.abs(normal @ (light / np.linalg.norm(light))) / np.where(length > 0, length, 1.0)
        return ambient + (1.0 - ambient) * cosine
