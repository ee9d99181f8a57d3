"""The command line ``convzoo``: what its parser lists, each a function here."""

import argparse
import contextlib
import csv
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from convzoo import environment

MANY = 8  # photographs; from so many on a progress bar is shown


def models(options: argparse.Namespace) -> int:
    from convzoo import zoo

    names = zoo.list_models(options.pattern)
    if options.json:
        print(json.dumps(names))
    elif names:
        print("\n".join(names))
    if not names:
        print(f"convzoo: no model is called {options.pattern!r}", file=sys.stderr)
    return 0 if names else 1


def info(options: argparse.Namespace) -> int:
    from convzoo import zoo
    from convzoo.apps import describe

    model = zoo.create(options.name)
    shape, example = describe.example(options.name, model)
    cost, waypoints = zoo.cost(model, example), zoo.feature_info(model, example)
    if options.json:
        found = {name: each._asdict() for name, each in waypoints.items()}
        print(json.dumps({"name": options.name, "input": shape, **cost._asdict(), "waypoints": found}))
        return 0
    print(f"{options.name}: {type(model).__name__}, input {shape}")
    print(f"parameters {cost.params:,}, multiply-adds {cost.macs:,}, activations {cost.activations:,}\n")
    print(f"{'waypoint':12}{'channels':>9}{'stride':>12}{'field':>14}")
    for name, each in waypoints.items():
        stride, field = (by_axis(part) for part in (each.stride, each.field))
        print(f"{name:12}{each.channels:9}{stride:>12}{field:>14}")
    return 0


def by_axis(numbers: tuple[int, ...] | None) -> str:
    return "-" if numbers is None else " x ".join(map(str, numbers))


def predict(options: argparse.Namespace) -> int:
    from convzoo.apps import classify

    files = classify.photographs(options.photo)
    if not files:
        raise ValueError(f"there are no image files in {', '.join(map(str, options.photo))}")
    found = classify.classifier(options.model, options.weights)
    outcomes = []
    shown = len(files) >= MANY
    with bar("predicting", len(files), shown=shown) as advance:
        for outcome in classify.predict(found, files, top=options.top, batch_size=options.batch_size):
            outcomes.append(outcome)
            advance(len(outcomes))
            if outcome.error:
                print(f"convzoo: {outcome.file}: {outcome.error}", file=sys.stderr)
    if options.json:
        print(json.dumps([entry(outcome) for outcome in outcomes]))
    elif options.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(["file", "rank", *classify.Prediction._fields])
        for outcome in outcomes:
            writer.writerows([outcome.file, rank, *each] for rank, each in enumerate(outcome.predictions, 1))
    else:
        for outcome in (outcome for outcome in outcomes if not outcome.error):
            print(outcome.file)
            for each in outcome.predictions:
                print(f"  {each.probability:6.1%}  {each.name}{f' ({each.wnid})' if each.wnid else ''}")
    return 1 if any(outcome.error for outcome in outcomes) else 0


def entry(outcome: Any) -> dict[str, Any]:
    told = {"file": str(outcome.file), "predictions": [each._asdict() for each in outcome.predictions]}
    return told | ({"error": outcome.error} if outcome.error else {})


def evaluate(options: argparse.Namespace) -> int:
    from convzoo.apps import classify

    found = classify.classifier(options.model, options.weights)
    with bar("evaluating", None, shown=True) as advance:
        score = classify.evaluate(found, options.folder, batch_size=options.batch_size, told=advance)
    for file, why in score.failed.items():
        print(f"convzoo: {file}: {why}", file=sys.stderr)
    if options.json:
        print(json.dumps({"model": options.model, "weights": found.recipe.source, **score._asdict()}))
    else:
        for name, share, (low, high) in (
            ("top-1", score.top1, score.top1_interval),
            ("top-5", score.top5, score.top5_interval),
        ):
            print(f"{name} {share:.2%} (95 % interval {low:.2%} to {high:.2%})")
        rate = f"{score.seconds:.1f} s, {score.images_per_second:.1f} images/s"
        print(f"{score.examples} images, {len(score.failed)} could not be read, {rate}")
    return 1 if score.failed else 0


def listen(options: argparse.Namespace) -> int:
    from convzoo.apps import listen as app
    from convzoo.data import recordings
    from convzoo.explain import hearing

    files = [path for each in options.file for path in (recordings.in_folder(each) if each.is_dir() else [each])]
    if not files:
        raise ValueError(f"there are no sound files in {', '.join(map(str, options.file))}")
    if options.picture and len(files) > 1:
        raise ValueError(f"--picture draws one recording; {len(files)} are given")
    found = app.listener(options.weights)
    outcomes = []
    with bar("listening, seconds", None, shown=True) as advance:
        for outcome in app.listen(found, files, lambda done, of: advance(int(done), int(of))):
            outcomes.append(outcome if options.picture else outcome._replace(overview=None))
            if outcome.error:
                print(f"convzoo: {outcome.file}: {outcome.error}", file=sys.stderr)
    if options.picture and not outcomes[0].error:
        heard = outcomes[0]
        assert heard.overview
        hearing.picture(
            options.picture,
            **heard.overview._asdict(),
            **{name: getattr(heard, name) for name in ("seconds", "words", "segments", "pitch")},
            title=heard.file.name,
        )
    if options.json:
        print(json.dumps([app.entry(outcome) for outcome in outcomes]))
    else:
        print("\n".join(line for outcome in outcomes for line in app.lines(outcome)))
    return 1 if any(outcome.error for outcome in outcomes) else 0


def see(options: argparse.Namespace) -> int:
    from convzoo.apps import classify
    from convzoo.apps import see as app

    out = options.out or Path(f"{options.photo.stem}.html")
    if not out.parent.is_dir():  # before the work, not after it
        raise ValueError(f"--out {out}: there is no folder {out.parent}")
    found = classify.classifier(options.model, options.weights)
    with bar("seeing", None, shown=True) as advance:
        told = app.see(found, options.photo, options.model, top=options.top, fast=options.fast, told=advance)
    app.write(told, out)
    if options.json:
        print(json.dumps(app.entry(told) | {"page": str(out)}))
    else:
        print("\n".join([str(told.file), *app.lines(told), f"  {sum(told.seconds.values()):.0f} s, {out}"]))
    return 0


def graph(options: argparse.Namespace) -> int:
    from convzoo.apps import graph as app

    loaded = app.read(options.file, options.labels, options.features)
    if options.why is not None and options.why not in loaded.names:
        raise ValueError(f"--why {options.why!r}: the graph has no such node")
    result = app.learn(loaded, options.layer, options.steps, options.seed)
    told: dict[str, Any] = {
        "notes": loaded.notes,
        "layer": options.layer,
        "classes": result.classes,
        "nodes": {part: len(index) for part, index in result.splits.items()},
        "accuracy": result.accuracy,
        "most_common": result.most_common,
    }
    node = None if options.why is None else loaded.names.index(options.why)
    found = [] if node is None else app.why(result, node)
    if node is not None:
        told["why"] = [
            {"from": loaded.names[a], "to": loaded.names[b], "gradient": round(gradient, 4), "mask": round(mask, 4)}
            for a, b, gradient, mask in found[:20]
        ]
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        files = [app.write_predictions(loaded, result, options.out / "predictions.csv")]
        files += app.draw(loaded, result, options.out)
        files += [] if node is None else [app.draw_why(loaded, result, node, found, options.out / "why.png")]
        told["files"] = list(map(str, files))
    print(json.dumps(told) if options.json else "\n".join(lines_of(told)))
    return 0


def demo(options: argparse.Namespace) -> int:
    from convzoo.web import page

    def told(address: str) -> None:
        print(json.dumps({"address": address}) if options.json else f"{address}  (Ctrl+C ends it)", flush=True)

    if options.report and not options.report.is_dir():
        raise ValueError(f"--report {options.report}: there is no such folder")
    page.serve(options.port, options.report, told)
    return 0


def filter(options: argparse.Namespace) -> int:
    from convzoo.apps import filtering as app

    if options.everywhere and not options.out:
        raise ValueError("--everywhere needs --out FILE.png")
    found = app.run(options.input, options.kernel, size=options.size, stride=options.stride)
    told = app.entry(found)
    written = app.draw(found, options.out, everywhere=options.everywhere) if options.out else ""
    if options.json:
        print(json.dumps(told | ({"out": str(options.out)} if options.out else {})))
    else:
        print("\n".join([*app.lines(told), *([written] if written else [])]))
    return 0


def lines_of(told: dict[str, Any]) -> Iterator[str]:
    """What ``graph`` found, as text."""
    yield from told["notes"]
    shares = (f"{part} {value:.1%} of {told['nodes'][part]}" for part, value in told["accuracy"].items())
    yield f"{told['layer']}, {len(told['classes'])} classes: {', '.join(shares)}"
    yield f"always the commonest class: test {told['most_common']:.1%}"
    for edge in told.get("why", []):
        yield f"  {edge['from']} -> {edge['to']}: mask {edge['mask']:.2f}, gradient {edge['gradient']:+.3f}"
    yield from told.get("files", [])


@contextlib.contextmanager
def bar(title: str, total: int | None, *, shown: bool) -> Iterator[Any]:
    """A progress bar on the error stream, and the function that moves it to (done, total)."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not (shown and console.is_terminal), transient=True) as progress:
        task = progress.add_task(title, total=total)

        def advance(done: int, of: int | None = total) -> None:
            progress.update(task, completed=done, total=of)

        yield advance


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="convzoo", description="Convolutional networks, and weights for them.")
    commands = result.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(run: Any, help: str) -> argparse.ArgumentParser:
        made = commands.add_parser(run.__name__, help=help, description=help)
        made.set_defaults(run=run)
        made.add_argument("--json", action="store_true", help="print one JSON document")
        return made

    found = command(models, "list the models whose name matches a pattern")
    found.add_argument("pattern", nargs="?", default="*", metavar="PATTERN", help="such as 'resnet*'")
    command(info, "parameters, multiply-adds and waypoints of a model").add_argument("name", metavar="NAME")
    found = command(predict, "the likeliest classes of photographs")
    found.add_argument("photo", nargs="+", type=Path, metavar="PHOTO", help="image files, and folders of them")
    found.add_argument("--top", type=positive, default=5, metavar="N", help="how many classes (5)")
    found.add_argument("--csv", action="store_true", help="print a line a prediction, comma-separated")
    weighted(found)
    found = command(evaluate, "how often a model is right over a folder of class folders, or of WNID_name files")
    found.add_argument("folder", type=Path, metavar="FOLDER")
    weighted(found)
    found = command(listen, "the words of recordings, and with the extra hearing who speaks when and at which pitch")
    found.add_argument("file", nargs="+", type=Path, metavar="FILE", help="sound files, and folders of them")
    found.add_argument("--picture", type=Path, metavar="FILE", help="draw one recording into a .png, .svg or .pdf file")
    trained = "a file of a network that experiments.train digit_strings trained; left out: the one that comes along"
    found.add_argument("--weights", type=Path, metavar="FILE", help=trained)
    found = command(see, "one page: what a network sees in a photograph, where it looked, what its layers answered to")
    found.add_argument("photo", type=Path, metavar="PHOTO", help="an image file")
    found.add_argument("--top", type=positive, default=5, metavar="N", help="how many classes (5)")
    found.add_argument("--out", type=Path, metavar="FILE", help="the page; left out: the photograph's name, .html")
    found.add_argument("--fast", action="store_true", help="leave out what each channel looks for")
    loaded(found)
    found = command(graph, "learn the classes of a graph's nodes from labelled ones, tested on nodes held out")
    found.add_argument("file", type=Path, metavar="FILE", help="edge list, .graphml, .gml or .json (node-link)")
    found.add_argument("--labels", type=Path, metavar="FILE", help="a table: node, label")
    found.add_argument("--features", type=Path, metavar="FILE", help="a table: node, numbers ...")
    layers = "gcn (the usual), sage, gin, chebyshev, gat or gatv2"
    found.add_argument("--layer", default="gcn", metavar="NAME", help=layers)
    found.add_argument("--steps", type=positive, default=200, metavar="N", help="updates (200)")
    found.add_argument("--seed", type=int, default=0, metavar="N", help="of the split and the weights")
    found.add_argument("--out", type=Path, metavar="DIR", help="write predictions and pictures there")
    found.add_argument("--why", metavar="NODE", help="tell which edges mattered for this node")
    found = command(demo, "the page: kernels, hierarchies, sounds and graphs in a browser, on this machine alone")
    found.add_argument("--port", type=positive, metavar="N", help="(7860, or the next one that is free)")
    found.add_argument("--report", type=Path, metavar="FOLDER", help="the comparison to show (runs/quickstart)")
    found = command(filter, "a kernel by hand over a picture or a sound: what it answers, drawn and in numbers")
    inputs = (
        "face, cross or diag (drawn), a photograph that scikit-image carries (astronaut, cat, coffee, ...), or a file"
    )
    found.add_argument("input", metavar="INPUT", help=inputs)
    kernels = (
        "vertical edges, horizontal edges (edge_h), diagonal edges, antidiagonal edges, laplacian, blur, sharpen, "
        "emboss, gaussian:SIGMA, gabor:ANGLE[,WAVELENGTH[,SIGMA]], or numbers: nine, or rows with ; between"
    )
    found.add_argument("--kernel", required=True, metavar="KERNEL", help=kernels)
    sizes = "pixels of a drawn picture along a side (64), of a photograph along its longer side at most (256)"
    found.add_argument("--size", type=positive, metavar="N", help=sizes)
    found.add_argument("--stride", type=positive, default=1, metavar="N", help="pixels from window to window (1)")
    outs = "draw input, kernel and map (.png), or the kernel sliding step by step (.gif, .webp)"
    found.add_argument("--out", type=Path, metavar="FILE", help=outs)
    alike = "draw the same kernel along a sound, over the picture and over a graph, in one .png"
    found.add_argument("--everywhere", action="store_true", help=alike)
    return result


def weighted(command: argparse.ArgumentParser) -> None:
    loaded(command)
    command.add_argument("--batch-size", type=positive, default=16, metavar="N", help="photographs at once (16)")


def loaded(command: argparse.ArgumentParser) -> None:
    command.add_argument("--model", default="efficientnet_lite0", metavar="NAME", help="(efficientnet_lite0)")
    sources = "a file, a folder in the hub's layout, or hf-hub:timm/...; left out: the package that ships weights"
    command.add_argument("--weights", metavar="SOURCE", help=sources)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        return options.run(options)
    except (ValueError, OSError, ImportError) as error:
        print(f"convzoo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("convzoo: stopped", file=sys.stderr)
        return 130


def command() -> int:
    """``main`` in a process that has the settings of ``convzoo.environment``."""
    environment.restart()
    return main()


if __name__ == "__main__":
    sys.exit(command())
