"""`edgecodec build`: plans of TensorRT for the graphs of a bundle."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgecodec.cli.batch import Job, Tally
from edgecodec.cli.knob_options import GraphKnobs, lists
from edgecodec.cli.option_groups import with_groups
from edgecodec.cli.reporting import reporting
from edgecodec.cli.shared_options import TalkOptions
from edgecodec.errors import InvalidArgument, VerificationFailed
from edgecodec.steps import Step

if TYPE_CHECKING:
    from edgecodec.bundle import Bundle
    from edgecodec.cli.console import Console
    from edgecodec.cli.progress import Progress
    from edgecodec.description import Side
    from edgecodec_engines.tensorrt_plans.building import Built
    from edgecodec_engines.tensorrt_plans.building import Progress as Heard
    from edgecodec_engines.tensorrt_plans.cuda_driver import Device
    from edgecodec_engines.tensorrt_plans.plan_cache import Plan, PlanCache
    from edgecodec_engines.tensorrt_plans.plan_key import Target, TensorRT
    from edgecodec_engines.tensorrt_plans.planning import PlanWish

_SIDES: dict[str, tuple[Side, ...]] = {"decode": ("decode",), "encode": ("encode",), "both": ("decode", "encode")}


@dataclass(frozen=True)
class PlanOptions:
    """Which plans to build, and how."""

    side: Annotated[str, typer.Option(metavar="decode|encode|both", help="Which graphs.")] = "decode"
    precision: Annotated[
        str | None, typer.Option(metavar="P", help="fp32, fp16... [default: fp16 for decoders that have it]")
    ] = None
    smallest: Annotated[
        str | None, typer.Option("--min", metavar="WxH", help="Smallest pictures. [default: the codec's smallest]")
    ] = None
    typical: Annotated[str, typer.Option("--opt", metavar="WxH", help="Pictures to be fastest for.")] = "768x512"
    largest: Annotated[str, typer.Option("--max", metavar="WxH", help="Largest pictures, or tiles.")] = "1920x1088"
    workspace: Annotated[
        str | None, typer.Option(metavar="SIZE", help="GPU memory for a layer, like 2G. [default: all]")
    ] = None
    rtx: Annotated[bool, typer.Option("--rtx", help="TensorRT-RTX, where TensorRT is installed too.")] = False
    minutes: Annotated[float, typer.Option(min=0.0, metavar="M", help="Minutes after which a graph is given up.")] = (
        60.0
    )
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Write the plans to this folder too.")
    ] = None
    force: Annotated[
        bool, typer.Option("--force", help="Build plans that are there once more; with --prune, remove all.")
    ] = False

    def wish(self, knobs: GraphKnobs) -> PlanWish:
        """Raises InvalidArgument."""
        from edgecodec import memory
        from edgecodec_engines.tensorrt_plans.plan_key import BuildOptions
        from edgecodec_engines.tensorrt_plans.planning import PlanWish
        from edgecodec_engines.tensorrt_plans.profiles import PictureSizes, parse_size

        if self.side not in _SIDES:
            raise InvalidArgument(f"{self.side!r} is no side", where="--side", hint="give decode, encode or both")
        return PlanWish(
            sizes=PictureSizes(
                None if self.smallest is None else parse_size(self.smallest, "--min"),
                parse_size(self.typical, "--opt"),
                parse_size(self.largest, "--max"),
            ),
            sides=_SIDES[self.side],
            knobs=lists(knobs),
            precision=self.precision,
            options=BuildOptions(None if self.workspace is None else memory.parse(self.workspace)),
        )


@with_groups
def build(
    bundle: Annotated[Path | None, typer.Argument(metavar="BUNDLE", help="Folder that export wrote.")] = None,
    *,
    knobs: GraphKnobs,
    options: PlanOptions,
    list_plans: Annotated[bool, typer.Option("--list", help="Show the plans that are there, and exit.")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Remove plans that do not run here, and exit.")] = False,
    talk: TalkOptions,
) -> None:
    """Build TensorRT plans for a bundle on this device. Needs edgecodec[tensorrt]."""
    with reporting(talk) as console:
        from edgecodec_engines.tensorrt_plans.plan_cache import PlanCache

        cache = PlanCache.of_user()
        if list_plans:
            _show(cache, console)
            return
        if prune:
            _prune(cache, console, everything=options.force)
            return
        if bundle is None:
            raise InvalidArgument("BUNDLE missing", hint="edgecodec build --list shows the plans that are there")
        raise typer.Exit(_build(bundle, options, options.wish(knobs), cache, console))


def _build(path: Path, options: PlanOptions, wish: PlanWish, cache: PlanCache, console: Console) -> int:
    """The exit status."""
    from edgecodec.bundle import Bundle
    from edgecodec_engines.tensorrt_plans import cuda_driver, tensorrt_module
    from edgecodec_engines.tensorrt_plans.copies import refuse_existing
    from edgecodec_engines.tensorrt_plans.planning import wanted_graphs

    bundle = Bundle(path)
    numbers = wanted_graphs(bundle.info, wish)
    if options.output is not None and not options.force:
        for number in numbers:
            refuse_existing(options.output, bundle.info.graphs[number].file)
    tensorrt, _ = tensorrt_module.find_tensorrt(tensorrt_module.TENSORRT_RTX if options.rtx else None)
    device = cuda_driver.first_device()
    target = tensorrt_module.target_of(tensorrt, device)
    console.say(f"{tensorrt_module.title(tensorrt)} for {tensorrt_module.words_for(target)}")
    tally = Tally(console, len(numbers))
    with console.progress("building", step_level=1) as progress:
        work = _Work(bundle, options, wish, cache, console, progress, tensorrt, target, device)
        for place, number in enumerate(numbers, 1):
            file = bundle.info.graphs[number].file
            progress.follow(Step(file, "plan", place, len(numbers)))
            with tally.attempt(Job(file, str(options.output or cache.folder))):
                work.on(number)
    return tally.exit_status()


@dataclass
class _Work:
    """What is done for each graph."""

    bundle: Bundle
    options: PlanOptions
    wish: PlanWish
    cache: PlanCache
    console: Console
    progress: Progress
    tensorrt: TensorRT
    target: Target
    device: Device | None

    def on(self, number: int) -> None:
        """Build the plan of the graph of this number, unless it is there, verify it and report."""
        from edgecodec.loading import graph_of
        from edgecodec_engines.tensorrt_plans.building import build as build_plan
        from edgecodec_engines.tensorrt_plans.choosing import FAILED, NOT_VERIFIED
        from edgecodec_engines.tensorrt_plans.copies import write_copy
        from edgecodec_engines.tensorrt_plans.planning import about, plan_key
        from edgecodec_engines.tensorrt_plans.verification import verify_plan

        baked = self.bundle.info.graphs[number]
        graph = graph_of(self.bundle, number)
        key = plan_key(self.bundle, number, graph, self.wish, self.tensorrt, self.target)
        plan = None if self.options.force else self.cache.find_whole(key)
        built: Built | None = None
        if plan is None:
            self.progress.note("", f"to {self.cache.folder}")
            built = build_plan(
                self.cache,
                key,
                graph,
                about(self.bundle.info, number, self.wish),
                limit=self.options.minutes * 60,
                report=lambda phase: self._tell(baked.file, phase),
            )
            plan = built.plan
            for warning in built.warnings:
                self.console.say(f"{baked.file}: TensorRT warns: {warning}")
        if plan.verification is None or (self.device is not None and plan.verification.startswith(NOT_VERIFIED)):
            found = verify_plan(self.bundle.root, baked, self.cache, plan, self.device)
            plan = self.cache.record_verification(plan, found)
        where = self.cache.path(plan)
        if (plan.verification or "").startswith(FAILED):
            raise VerificationFailed(
                f"the plan does not give the golden pictures: {plan.verification}",
                where=str(where),
                hint="use --precision fp32, or another engine",
            )
        if self.options.output is not None:
            where = write_copy(self.cache, plan, self.options.output, baked.file, force=self.options.force)
        self._report(baked.file, plan, where, built)

    def _tell(self, file: str, heard: Heard) -> None:
        phase = f"{heard.phase} {heard.share:.0%}" if heard.phase else ""
        self.progress.note(phase, f"to {self.cache.folder}")
        self.console.say(f"{file}: {heard.seconds:.0f} s, {phase}", level=1)

    def _report(self, file: str, plan: Plan, where: Path, built: Built | None) -> None:
        took = f"built in {built.seconds:.1f} s" if built else "was there"
        self.console.say(f"{file} -> {where}  {plan.size / 1e6:.1f} MB  {took}  {plan.verification}")
        facts = {"ok": True, "graph": file, "plan": where, "built": built is not None, **_facts(plan)}
        self.console.record({**facts, "warnings": built.warnings if built else ()})


def _facts(plan: Plan) -> dict[str, Any]:
    return {
        "precision": plan.key.precision,
        "bytes": plan.size,
        "sha256": plan.sha256,
        "tensorrt": asdict(plan.key.tensorrt),
        "target": asdict(plan.key.target),
        "verification": plan.verification,
        "about": dict(plan.about),
    }


def _show(cache: PlanCache, console: Console) -> None:
    from edgecodec_engines.tensorrt_plans.tensorrt_module import runs_here, title, words_for

    plans = list(cache.plans())
    if not plans:
        console.say(f"no plans in {cache.folder}")
    for plan in plans:
        here = runs_here(plan.key)
        facts = {"ok": True, "plan": cache.path(plan), "runs_here": here, **_facts(plan)}
        if console.json:
            console.record(facts)
            continue
        about = {"bundle": "?", "graph": "?", "sizes": "?", **plan.about}
        parts = [
            f"{cache.path(plan)}  {plan.size / 1e6:.1f} MB",
            f"{about['bundle']} {about['graph']} {plan.key.precision}",
            str(about["sizes"]),
            f"{title(plan.key.tensorrt)} for {words_for(plan.key.target)}",
            plan.verification or "not verified",
        ]
        console.show(["  ".join(parts if here else [*parts, "does not run here"])])


def _prune(cache: PlanCache, console: Console, *, everything: bool) -> None:
    from edgecodec_engines.tensorrt_plans.tensorrt_module import find_tensorrt, runs_here

    if not everything:
        find_tensorrt()  # or no plan would run here
    removed = cache.prune(lambda plan: not everything and runs_here(plan.key))
    console.say(f"{removed.files} files removed, {removed.bytes / 1e6:.1f} MB")
    console.record({"ok": True, "files": removed.files, "bytes": removed.bytes, "folder": cache.folder})
