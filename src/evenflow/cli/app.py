"""The commands."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from evenflow.cli.experiment import app as experiment_app
from evenflow.cli.parameters import parse_pairs

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(experiment_app, name="experiment")


def _show_version(wanted: bool) -> None:
    if wanted:
        from evenflow import __version__

        typer.echo(f"evenflow {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="print the version and leave")
    ] = False,
) -> None:
    """Minimise energies on sparse graphs: heat, oscillators, spins, or one that you write in a line."""


EnergyArg = Annotated[str, typer.Argument(help="heat, kuramoto, hopf-kuramoto ... (see [b]evenflow energies[/b])")]
GraphOpt = Annotated[
    str, typer.Option("--graph", help="lattice:50x50, ring:625 ... or a file (see [b]evenflow graphs[/b])")
]
ParamOpt = Annotated[list[str], typer.Option("--param", help="parameter of the energy, NAME=VALUE; may be repeated")]
OptionOpt = Annotated[list[str], typer.Option("--option", help="option of the method, NAME=VALUE; may be repeated")]
SecondsOpt = Annotated[float | None, typer.Option("--max-seconds", help="time budget of a solve")]
JsonOpt = Annotated[bool, typer.Option("--json", help="print one JSON object on standard output, nothing else")]

_err = Console(stderr=True)


def _quiet_warnings() -> None:
    """Show warnings as one line each on standard error."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        _err.print(f"[yellow]evenflow: {escape(str(message))}[/yellow]", highlight=False)

    warnings.showwarning = show


def build_energy(name: str, spec: str, params: dict[str, Any]) -> Any:
    """Read or make the graph and build a named energy on it."""
    from evenflow.energy import energy_class
    from evenflow.errors import InputError
    from evenflow.io import read_graph

    energy, graph = energy_class(name), read_graph(spec)
    try:
        return energy.from_graph(graph, **params)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        given = ", ".join(f"{key}={value!r}" for key, value in params.items())
        raise InputError(f"--param {given}: not what {name} takes ({error})") from error


@app.command(
    epilog="Examples:\n\n"
    "evenflow solve heat --graph lattice:50x50 --param baths=sides\n\n"
    "evenflow solve kuramoto --graph ring:625 --method gcn --seed 3 --json\n\n"
    "evenflow solve hopf-kuramoto --graph lattice:50x50:periodic --param s1=1 --param s2=0.5 --out run"
)
def solve(
    energy: EnergyArg,
    graph: GraphOpt,
    method: Annotated[str, typer.Option(help="see [b]evenflow methods[/b]")] = "auto",
    param: ParamOpt = [],  # noqa: B006  typer reads it, nobody writes it
    option: OptionOpt = [],  # noqa: B006
    seed: Annotated[int, typer.Option(help="of everything random")] = 0,
    tolerance: Annotated[float | None, typer.Option(help="relative energy gap to leave")] = None,
    max_seconds: SecondsOpt = None,
    max_iterations: Annotated[int | None, typer.Option(help="step budget")] = None,
    out: Annotated[Path | None, typer.Option(help="folder for result.npz, result.json and pictures")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="file to save the solve to as it runs; resumed if present")
    ] = None,
    as_json: JsonOpt = False,
) -> None:
    """Minimise one energy on one graph."""
    from evenflow.front import minimize, resume

    _quiet_warnings()
    problem = build_energy(energy, graph, parse_pairs(param, "--param"))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)  # before the work, so that a bad place costs nothing
    limits: dict[str, Any] = {"max_seconds": max_seconds, "max_iterations": max_iterations}
    if checkpoint is not None and checkpoint.is_file():
        _err.print(f"continuing from {checkpoint}", highlight=False)
        result = resume(checkpoint, problem, **{name: limit for name, limit in limits.items() if limit is not None})
    else:
        options = parse_pairs(option, "--option")
        result = minimize(
            problem, method=method, seed=seed, tolerance=tolerance, checkpoint=checkpoint, **limits, **options
        )
    record = {**result.as_dict(), "energy_name": energy, "graph_spec": graph}
    if as_json:
        typer.echo(json.dumps(record))
    else:
        Console().print(repr(result), highlight=False, markup=False, soft_wrap=True)
    if out is not None:
        _write_out(out, result, record)
    if result.status.failed:
        raise typer.Exit(1)


def _write_out(folder: Path, result: Any, record: dict[str, Any]) -> None:
    """Write the result, its summary and its pictures."""
    result.save(folder / "result.npz")
    (folder / "result.json").write_text(json.dumps(record, indent=1) + "\n")
    result.plot(folder / "history.png")
    result.plot_state(folder / "state.png")
    _err.print(f"wrote result.npz, result.json, history.png and state.png to {folder}", highlight=False)


@app.command(
    epilog="Example:\n\nevenflow compare heat --graph lattice:50x50 --methods auto,lbfgs,adam,scipy-lbfgsb --seeds 3"
)
def compare(
    energy: EnergyArg,
    graph: GraphOpt,
    methods: Annotated[str, typer.Option(help="names, comma-separated: methods and peers")] = "auto,lbfgs,adam,gcn",
    param: ParamOpt = [],  # noqa: B006
    seed: Annotated[int, typer.Option(help="first seed")] = 0,
    seeds: Annotated[int, typer.Option(help="number of starts")] = 1,
    targets: Annotated[str, typer.Option(help="relative energy gaps")] = "1e-4,1e-6,1e-8",
    max_seconds: Annotated[float, typer.Option(help="time budget of a run")] = 60.0,
    out: Annotated[Path | None, typer.Option(help="folder for comparison.parquet, .json and the picture")] = None,
    as_json: JsonOpt = False,
) -> None:
    """Run several methods and peers from the same starts and measure the time to each gap."""
    from evenflow.comparison import compare as run
    from evenflow.errors import InputError

    _quiet_warnings()
    try:
        gaps = tuple(float(gap) for gap in targets.split(","))
    except ValueError:
        raise InputError(f"--targets {targets!r}: expected numbers, comma-separated, for example 1e-4,1e-8") from None
    params = "".join(f" --param {pair}" for pair in param)
    template = (
        f"evenflow compare {energy} --graph {graph}{params} --methods {{method}} --seed {{seed}}"
        f" --targets {targets} --max-seconds {max_seconds:g}"
    )
    table = run(
        build_energy(energy, graph, parse_pairs(param, "--param")),
        [name.strip() for name in methods.split(",") if name.strip()],
        targets=gaps,
        seeds=tuple(range(seed, seed + seeds)),
        max_seconds=max_seconds,
        command=template,
    )
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        table.to_parquet(out / "comparison.parquet")
        (out / "comparison.json").write_text(table.to_json() + "\n")
        table.plot(out / "comparison.png")
    if as_json:
        typer.echo(table.to_json())
        return
    Console().print(table.table())
    print("A row again:")
    for row in table.rows:
        print(f"  {table.command(row)}")


def _list(title: str, rows: Iterable[tuple[str, ...]], columns: tuple[str, ...], as_json: bool) -> None:
    """Print a list of what there is."""
    if as_json:
        typer.echo(json.dumps([dict(zip(columns, row, strict=True)) for row in rows]))
        return
    table = Table(title=title, box=None, pad_edge=False, title_justify="left")
    table.add_column(columns[0], style="bold", no_wrap=True)
    for column in columns[1:]:
        table.add_column(column)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    Console().print(table)


@app.command()
def methods(as_json: JsonOpt = False) -> None:
    """List the methods: what each does and where it comes from."""
    from evenflow.method import METHODS

    rows = [(entry.name, entry.description, entry.source) for entry in METHODS.values()]
    _list("Methods (evenflow solve --method NAME)", rows, ("name", "what it does", "source"), as_json)


@app.command()
def energies(as_json: JsonOpt = False) -> None:
    """List the energies and their parameters."""
    from evenflow.energy import ENERGIES, energy_class

    rows = [(name, energy_class(name).summary) for name in ENERGIES]
    _list("Energies (evenflow solve NAME --param ...)", rows, ("name", "what it is"), as_json)


@app.command()
def graphs(as_json: JsonOpt = False) -> None:
    """List the graphs of the gallery and the file formats."""
    from evenflow.gallery import FAMILIES

    rows = [(entry.example, entry.description) for entry in FAMILIES.values()]
    rows.append(("a path", ".ply .obj .off .mtx .gml .json (node-link) .csv .tsv .txt (edge list) .g2o .m (MATPOWER)"))
    _list("Graphs (--graph SPEC)", rows, ("spec", "what it is"), as_json)
