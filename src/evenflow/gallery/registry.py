"""Graphs by name: what there is, and the strings that the command line takes."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from evenflow.errors import InputError
from evenflow.graph import Graph

__all__ = ["FAMILIES", "Family", "from_spec", "is_spec"]


@dataclass(frozen=True)
class Family:
    """One kind of graph that a string can name.

    Attributes
    ----------
    name : str
    example : str
        A string that :func:`from_spec` takes.
    description : str
        One line.
    target : str
        "module:function" inside :mod:`evenflow.gallery`.
    leading : tuple
        First arguments of that function, before those of the string.
    """

    name: str
    example: str
    description: str
    target: str
    leading: tuple[Any, ...] = ()

    @property
    def build(self) -> Callable[..., Graph]:
        """The function that makes the graph."""
        module, function = self.target.split(":")
        return getattr(import_module(f"evenflow.gallery.{module}"), function)


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("lattice", "lattice:50x50", "lattice of any dimension; add :periodic to close it", "lattices:lattice"),
        Family(
            "triangular", "triangular:75x75", "triangular lattice, rows x triangles in a row", "lattices:triangular"
        ),
        Family("ring", "ring:625", "ring of n nodes", "lattices:ring"),
        Family("tree", "tree:2x8", "balanced tree, branching x height", "trees:tree"),
        Family("star", "star:1000", "one hub and n - 1 leaves", "trees:star"),
        Family("sbm", "sbm:10x250", "stochastic block model, blocks x size; p_in=, p_out=, seed=", "block_models:sbm"),
        Family("er", "er:2500", "Erdos-Renyi graph; degree=, seed=", "block_models:er"),
        Family("rgg", "rgg:2500", "giant random geometric graph; degree= or radius=, dim=, seed=", "geometric:rgg"),
        Family("ba", "ba:2500", "Barabasi-Albert power-law graph; m=, seed=", "preferential:ba"),
        Family("road", "road:114599", "nearly a tree, like a road network; seed=", "roads:road"),
        Family("airfoil", "airfoil:2", "triangle mesh around an airfoil, split so many times", "meshes:airfoil"),
        Family("mesh", "mesh:knot", "other meshes of pyamg: unit-square, unit-cube, bar ...", "meshes:mesh"),
        Family("karate", "karate", "Zachary's karate club; weighted=false", "networks:karate"),
        Family("les-miserables", "les-miserables", "characters of the novel", "networks:network", ("les-miserables",)),
        Family("florentine", "florentine", "Florentine families", "networks:network", ("florentine",)),
        Family("davis", "davis", "Southern women and events", "networks:network", ("davis",)),
        Family("network", "network:petersen", "small named graphs of NetworkX", "networks:network"),
    )
}


def is_spec(text: str) -> bool:
    """Whether the text before the first colon names a family.

    Examples
    --------
    >>> is_spec("lattice:50x50"), is_spec("bunny.ply")
    (True, False)
    """
    return family_name(text) in FAMILIES


def family_name(text: str) -> str:
    """The part of a spec that names the family."""
    return text.split(":", 1)[0].strip().lower().replace("_", "-")


def from_spec(spec: str) -> Graph:
    """Make the graph that a string describes.

    Parameters
    ----------
    spec : str
        ``name[:AxBxC][:word][:key=value]``: sizes, a word (a flag such as ``periodic`` or a name) and options, each
        after a colon; see :data:`FAMILIES`.

    Returns
    -------
    Graph

    Raises
    ------
    InputError
        If the name, a size or an option is not known.

    Examples
    --------
    >>> from_spec("lattice:14x14x14:periodic")
    Graph(nodes=2744, edges=8232, components=1, degrees=6..6)
    >>> from_spec("ba:100:m=2:seed=5").n_edges
    196
    """
    name = family_name(spec)
    family = FAMILIES.get(name)
    if family is None:
        close = difflib.get_close_matches(name, FAMILIES, n=1)
        hint = f"did you mean {FAMILIES[close[0]].example!r}?" if close else f"there are {', '.join(FAMILIES)}"
        raise InputError(f"no graph named {name!r} in {spec!r}: {hint}")
    build = family.build
    signature = inspect.signature(build)
    positional: list[Any] = list(family.leading)
    options: dict[str, Any] = {}
    for field in spec.split(":")[1:]:
        word = field.strip()
        parameter = signature.parameters.get(word.replace("-", "_"))
        if re.fullmatch(r"\d+(x\d+)*", word):
            positional += [number(part) for part in word.split("x")]
        elif "=" in word:
            key, _, value = word.partition("=")
            options[key.strip().replace("-", "_")] = literal(value.strip())
        elif parameter is not None and isinstance(parameter.default, bool):
            options[parameter.name] = True
        elif word:
            positional.append(word)
        else:
            raise InputError(f"{spec!r} has an empty field between colons: write it like {family.example!r}")
    try:
        signature.bind(*positional, **options)
    except TypeError as error:
        raise InputError(
            f"{spec!r} does not fit {name}{signature}: {error}; an example is {family.example!r}"
        ) from None
    try:
        return build(*positional, **options)
    except InputError as error:
        raise InputError(f"{spec!r}: {error}; an example is {family.example!r}") from error


def number(text: str) -> int:
    """An integer of at most 18 digits."""
    if len(text) > 18:
        raise InputError(f"the size {text[:20]}... is too large")
    return int(text)


def literal(text: str) -> bool | int | float | str:
    """Value of an option: true, false, an integer, a float, or else the text itself."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if re.fullmatch(r"[+-]?\d{1,18}", text):
        return int(text)
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text):
        return float(text)
    return text
