"""Random descriptions of bundles that keep every rule of the index (docs/format.md, section 6)."""

from __future__ import annotations

from hypothesis import strategies as st

from edgecodec.description import (
    BakedGraph,
    BundleFile,
    Description,
    Knob,
    LatentSpec,
    Model,
    NoiseSpec,
    Padding,
    Port,
    RateFit,
    Side,
    SideInput,
    Tiling,
)

finite = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=20)
names = texts.filter(lambda text: text != "")
identifiers = st.from_regex("[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(lambda name: name != "quality")
paths = st.lists(st.from_regex("[A-Za-z0-9_ é-]{1,6}", fullmatch=True), min_size=1, max_size=3).map("/".join)
u16 = st.integers(1, 65535)
qualities = st.integers(0, 2**32 - 1).map(lambda steps: steps / 64)


def distinct(strategy: st.SearchStrategy[str], least: int, most: int) -> st.SearchStrategy[list[str]]:
    return st.lists(strategy, min_size=least, max_size=most, unique=True)


@st.composite
def descriptions(draw: st.DrawFn) -> Description:
    files = draw(distinct(paths, 1, 5))
    hashes = st.binary(min_size=32, max_size=32).map(bytes.hex)
    ids = draw(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3, unique=True))
    models = tuple(draw(_models(f"{number:08x}", files)) for number in ids)
    knobs = (*draw(_knobs("encode")), *draw(_knobs("decode")))
    sides: list[tuple[Side, int]] = [("decode", number) for number in range(len(models))]
    makers = [number for number, model in enumerate(models) if len(model.side_inputs) < len(model.encoder_latents)]
    sides += [("encode", number) for number in makers if draw(st.booleans())]
    sides += [("decode", draw(st.integers(0, len(models) - 1)))] * draw(st.booleans())
    return Description(
        draw(texts),
        draw(texts),
        models,
        knobs,
        tuple(
            draw(_graphs(side, number, models[number], knobs, files)) for side, number in draw(st.permutations(sides))
        ),
        {name: BundleFile(draw(st.integers(0, 1 << 48)), draw(hashes)) for name in files},
    )


@st.composite
def _models(draw: st.DrawFn, number: str, files: list[str]) -> Model:
    alignment, noise_stride, padding = draw(st.integers(1, 4)), draw(st.integers(1, 16)), draw(st.integers(1, 64))
    alignment *= noise_stride * padding
    made = [LatentSpec(name, draw(u16), draw(u16)) for name in draw(distinct(names, 1, 3))]
    sides = draw(st.sets(st.sampled_from(["labels", "mask"])))
    given: dict[str, SideInput] = {}
    for kind in sorted(sides):
        name = kind if kind not in {latent.name for latent in made} else f"{kind} too"
        made.insert(0, LatentSpec(name, 1, 1 if kind == "labels" else draw(u16)))
        classes = tuple(draw(st.lists(texts, min_size=1, max_size=3)))
        given[name] = SideInput("labels", classes) if kind == "labels" else SideInput("mask")
    return Model(
        id=number,
        entropy=draw(st.sampled_from(files)),
        rate=draw(finite),
        alignment=alignment,
        padding=Padding(padding, draw(st.sampled_from(["reflect", "grey"])), draw(u16)),
        noise=NoiseSpec(draw(u16), noise_stride) if draw(st.booleans()) else None,
        encoder_latents=tuple(made),
        decoder_latents=tuple(LatentSpec(name, draw(u16), draw(u16)) for name in draw(distinct(names, 1, 3))),
        side_inputs=given,
    )


@st.composite
def _knobs(draw: st.DrawFn, side: Side) -> list[Knob]:
    knobs = []
    for name in draw(distinct(identifiers, 0, 3)):
        if draw(st.booleans()):
            knobs.append(_baked(name, side, draw(texts), draw(st.sets(finite, min_size=1, max_size=3)), draw))
            continue
        low, default, high = sorted(draw(st.lists(finite, min_size=3, max_size=3)))
        knobs.append(Knob(name, side, draw(texts), (), low, high, default, draw(st.none() | _fits())))
    if draw(st.booleans()):
        knobs.append(_baked("quality", side, draw(texts), draw(st.sets(qualities, min_size=1, max_size=3)), draw))
    return knobs


def _baked(name: str, side: Side, help: str, values: set[float], draw: st.DrawFn) -> Knob:
    ascending = tuple(sorted(values))
    default = draw(st.sampled_from(ascending))
    return Knob(name, side, help, ascending, ascending[0], ascending[-1], default)


@st.composite
def _fits(draw: st.DrawFn) -> RateFit:
    low, high = sorted(draw(st.lists(finite, min_size=2, max_size=2, unique=True)))
    coefficients = tuple(draw(st.lists(finite, min_size=1, max_size=8)))
    return RateFit(low, high, coefficients, draw(st.floats(0, 1e9)))


@st.composite
def _graphs(
    draw: st.DrawFn, side: Side, number: int, model: Model, knobs: tuple[Knob, ...], files: list[str]
) -> BakedGraph:
    of_side = [knob for knob in knobs if knob.side == side]
    baked = {knob.name: draw(st.sampled_from(knob.values)) for knob in of_side if draw(st.booleans()) and knob.values}
    if side == "encode":
        ports = [Port("", "image")]
        ports += [Port("", "size")] * (model.padding.rule == "grey" or draw(st.booleans()))
        ports += [Port("", "knob", knob.name) for knob in of_side if not knob.values and draw(st.booleans())]
        made = [latent.name for latent in model.encoder_latents if latent.name not in model.side_inputs]
        outputs = [Port("", "latent", name) for name in made]
    else:
        ports = [Port("", "latent", latent.name) for latent in model.decoder_latents]
        ports += [Port("", "noise")] * (model.noise is not None and draw(st.booleans()))
        outputs = [Port("", "image")]
    halo = draw(st.none() | st.tuples(st.integers(0, 65535), st.integers(0, 65535)))
    return BakedGraph(
        file=draw(st.sampled_from(files)),
        side=side,
        model=number,
        precision=draw(names),
        knobs=baked,
        inputs=draw(_named(draw(st.permutations(ports)))),
        outputs=draw(_named(draw(st.permutations(outputs)))),
        tiling=Tiling(None, draw(texts)) if halo is None else Tiling(halo),
        tolerance_levels=draw(st.integers(0, 255)),
        tolerance_db=draw(st.floats(0, 200)),
        bytes_per_pixel=draw(st.none() | st.floats(0, 1 << 48, exclude_min=True)),
    )


@st.composite
def _named(draw: st.DrawFn, ports: list[Port]) -> tuple[Port, ...]:
    chosen = draw(distinct(names, len(ports), len(ports)))
    return tuple(Port(name, port.role, port.of) for name, port in zip(chosen, ports, strict=True))
