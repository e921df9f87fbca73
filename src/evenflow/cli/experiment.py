"""``evenflow experiment list | run``: the papers' experiments by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Run the papers' experiments again, by name.")

JsonOpt = Annotated[bool, typer.Option("--json", help="print one JSON object on standard output, nothing else")]


@app.command("list")
def list_experiments(as_json: JsonOpt = False) -> None:
    """List the experiments: what each measures and which figures it repeats."""
    from evenflow.experiment import EXPERIMENTS

    entries = list(EXPERIMENTS.values())
    if as_json:
        typer.echo(json.dumps([{"name": e.name, "what it does": e.summary, "source": e.source} for e in entries]))
        return
    table = Table(title="Experiments (evenflow experiment run NAME)", box=None, pad_edge=False, title_justify="left")
    table.add_column("name", style="bold", no_wrap=True)
    table.add_column("what it does")
    table.add_column("source")
    for entry in entries:
        table.add_row(escape(entry.name), escape(entry.summary), escape(entry.source))
    Console().print(table)


@app.command(
    epilog="Examples:\n\n"
    "evenflow experiment run teleport-functions --quick\n\n"
    "evenflow experiment run teleport-mnist --quick --out mnist --json"
)
def run(
    name: Annotated[str, typer.Argument(help="see [b]evenflow experiment list[/b]")],
    quick: Annotated[bool, typer.Option("--quick", help="the short form: minutes, not hours")] = False,
    seeds: Annotated[int | None, typer.Option(help="number of seeds; by default the experiment's own")] = None,
    out: Annotated[Path | None, typer.Option(help="folder for result.json, tables.md, curves.npz, pictures")] = None,
    as_json: JsonOpt = False,
) -> None:
    """Run one experiment; its tables put our figures beside the papers'."""
    from rich.markdown import Markdown

    from evenflow.experiment import run_experiment

    err = Console(stderr=True)
    with err.status(f"{name} ...") as status:
        record, outcome = run_experiment(
            name, quick=quick, seeds=seeds, out=out, progress=lambda line: status.update(escape(f"{name}: {line}"))
        )
    if as_json:
        typer.echo(json.dumps(record))
        return
    console = Console()
    for line in outcome.findings:
        console.print(f"- {line}", markup=False, highlight=False)
    for table in outcome.tables:
        text = "\n" + table.markdown()
        if console.is_terminal:
            console.print(Markdown(text))
        else:
            typer.echo(text)
    if record["files"]:
        err.print(f"wrote {', '.join(record['files'])} to {out}", markup=False)
