"""Kernel modules on disk: generated once for each potential, found again without sympy by the next process.

The folder is ``EVENFLOW_CACHE`` or ``evenflow/kernels`` in the user's cache folder. Files are written to a temporary
name and moved into place, carry a checksum of their own text, and may be deleted at any time. A folder that cannot be
used costs one :class:`~evenflow.errors.CacheWarning` and a compilation in each process, never a solve.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from evenflow.energy.locality import Layout
from evenflow.energy.potential import Potential
from evenflow.errors import CacheWarning

__all__ = ["KernelModule", "cache_folder", "load"]

_lock = threading.RLock()
_loaded: dict[str, KernelModule] = {}
_fallback: list[Path] = []


class KernelModule:
    """The kernels of one potential.

    ``value``, ``gradient``, ``hvp``, ``hessian``, ``couplings``, ``series`` and ``two_hop`` are numba
    functions; the first call of each is guarded, so that a damaged or full cache is left for compilation in memory.

    Attributes
    ----------
    fields : int
        Rows of the scratch array of node functions.
    columns : int
        Columns of slot data.
    quartic : bool
        Whether the term of each node is a polynomial of at most fourth degree, for d = 1.
    tail : tuple of str
        Names of the trailing kernel arguments.
    """

    def __init__(self, key: str, source: str, module: ModuleType) -> None:
        self.key, self._source, self._module = key, source, module
        self.fields: int = module.FIELDS
        self.columns: int = module.COLUMNS
        self.quartic: bool = module.QUARTIC
        self.tail: tuple[str, ...] = tuple(module.TAIL)
        self.edge_columns: Callable[..., Any] = module.edge_columns

    def has(self, name: str) -> bool:
        """Whether the potential has this kernel."""
        return hasattr(self._module, name)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return a kernel, guarded until its first call has compiled or loaded it."""
        if name.startswith("_") or not hasattr(self._module, name):
            raise AttributeError(name)

        from numba.core.errors import NumbaError

        def first_call(*args: Any) -> Any:
            with _lock:
                try:
                    result = getattr(self._module, name)(*args)
                except NumbaError:
                    raise
                except Exception as problem:  # whatever a damaged or full cache raises; a true error comes again below
                    self._leave_cache(problem)
                    result = getattr(self._module, name)(*args)
                self.__dict__[name] = getattr(self._module, name)
                return result

        return first_call

    def _leave_cache(self, problem: Exception) -> None:
        """Compile in memory from now on, and remove what may be damaged."""
        warnings.warn(
            f"the compiled kernels in {cache_folder()} cannot be used ({type(problem).__name__}: {problem}); "
            "compiling in memory. Delete the folder, or point EVENFLOW_CACHE to one with free space",
            CacheWarning,
            stacklevel=2,
        )
        path = Path(self._module.__file__ or "")
        for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.nb?"):
            compiled.unlink(missing_ok=True)
        self._module = _in_memory(self._module.__name__, self._source)


def load(potential: Potential, layout: Layout = "plain") -> KernelModule:
    """Return the kernels of a potential, from the cache or newly generated.

    ``layout``: how they go through the rows of a graph.
    """
    key = _key(potential.canonical() + ("" if layout == "plain" else f" {layout}"))
    with _lock:
        if key not in _loaded:
            _loaded[key] = _load(key, potential, layout)
        return _loaded[key]


def cache_folder() -> Path:
    """Folder where kernel modules are kept."""
    chosen = os.environ.get("EVENFLOW_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    try:
        home = Path.home()
    except RuntimeError:  # a user without a home: a folder that cannot be, so that a temporary one takes its place
        return Path(os.devnull) / "evenflow"
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "evenflow" / "kernels"


@cache
def _generator_version() -> bytes:
    """Digest of all that decides the text of a module besides the potential."""
    import numba

    digest = hashlib.sha256(f"{numba.__version__} {sys.version_info[:2]}".encode())
    names = (
        "codegen.py",
        "row_source.py",
        "hessian_source.py",
        "source.py",
        "sincos.py",
        "symbolic.py",
        "potential.py",
        "locality.py",
        "prefetch.py",
    )
    for name in names:
        digest.update(Path(__file__).with_name(name).read_bytes())
    return digest.digest()


def _key(canonical: str) -> str:
    return hashlib.sha256(_generator_version() + canonical.encode()).hexdigest()[:24]


def _load(key: str, potential: Potential, layout: Layout) -> KernelModule:
    name = f"evenflow_kernels_{key}"
    folder = cache_folder()
    source = _read(folder / f"{name}.py")
    if not _writable(folder):
        source, folder = _use_fallback(folder, name, source)
    if source is None:
        from evenflow.energy.codegen import generate

        source = _sealed(generate(potential, layout).replace("CACHE", "True", 1))
        try:
            _write(folder / f"{name}.py", source)
        except OSError as problem:
            _warn_unusable(folder, str(problem))
            return KernelModule(key, source, _in_memory(name, source))
    return KernelModule(key, source, _import(name, folder / f"{name}.py"))


def _sealed(text: str) -> str:
    return f"# sha256 {hashlib.sha256(text.encode()).hexdigest()}\n{text}"


def _read(path: Path) -> str | None:
    """Text of a stored module, or None where there is none or it is damaged."""
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    _, _, body = source.partition("\n")
    return source if source == _sealed(body) else None


def _write(path: Path, source: str) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(source)
        os.replace(temporary, path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _warn_unusable(folder: Path, problem: str) -> None:
    if not _fallback:
        warnings.warn(
            f"the kernel cache folder {folder} cannot be written ({problem}); this process compiles its kernels anew. "
            "Point EVENFLOW_CACHE to a writable folder",
            CacheWarning,
            stacklevel=2,
        )


def _use_fallback(folder: Path, name: str, source: str | None) -> tuple[str | None, Path]:
    """Go to a temporary folder for the rest of the process, taking along what the read-only one already has."""
    _warn_unusable(folder, "no permission or no space")
    if not _fallback:
        temporary = Path(tempfile.mkdtemp(prefix="evenflow-kernels-"))
        _fallback.append(temporary)
        import atexit

        atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    target = _fallback[0]
    if source is not None:
        shutil.copy2(folder / f"{name}.py", target)
        for compiled in folder.glob(f"__pycache__/{name}.*.nb?"):
            (target / "__pycache__").mkdir(exist_ok=True)
            shutil.copy2(compiled, target / "__pycache__")
    return source, target


def _import(name: str, path: Path) -> ModuleType:
    """Import a module under a name that numba's own cache finds again in ``sys.modules``."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _in_memory(name: str, source: str) -> ModuleType:
    module = ModuleType(f"{name}_in_memory")
    sys.modules[module.__name__] = module
    exec(compile(source.replace('"cache": True', '"cache": False', 1), f"<{name}>", "exec"), module.__dict__)
    return module
