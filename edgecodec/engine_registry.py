"""Finding inference engines by name. A named engine is that engine or an error; only `auto` chooses.

The backends that come with edgecodec are looked for first, then those that installed packages offer: an entry point of
the group `edgecodec.engines` is named like the backend and refers to its `edgecodec.engine.Backend`. Names, hints and
the order of `auto` come from what backends say of themselves; help and `auto` know only those of edgecodec.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from importlib import import_module

from edgecodec.description import SINGLE
from edgecodec.engine import Backend, Engine, Graph, NativeEngine, Options, Plugin, Tolerance
from edgecodec.errors import EngineError, EngineUnavailable, InvalidArgument
from edgecodec.foreign_engine import ForeignEngine, failures_of

AUTO = "auto"
ENTRY_POINTS = "edgecodec.engines"

#: Where each backend that comes with edgecodec lives, in a variable called BACKEND.
_BUILT_IN = {
    "onnxruntime": "edgecodec_engines.onnxruntime",
    "openvino": "edgecodec_engines.openvino",
    "tensorrt": "edgecodec_engines.tensorrt",
}
_SLOW_START = "starting takes longer than one picture gains"
#: Those that are no use for decoding; no help, hint or message names them.
_FOR_TESTS = {"stub": "edgecodec_engines.stub"}


def engine_names() -> list[str]:
    """Every name that can be asked for, but for those of other packages."""
    return [AUTO, *(name for each in _built_in() for name in each.engine_names())]


def usable_engines() -> list[str]:
    """Those of edgecodec that this machine has."""
    usable = []
    for name in engine_names():
        with suppress(EngineError):
            require_engine(name)
            usable.append(name)
    usable.remove(AUTO)
    return usable


def installed_backends() -> list[str]:
    """Those of edgecodec whose library is installed. Nothing is loaded, so whether they work here is not known."""
    from importlib.util import find_spec

    def is_there(module: str) -> bool:
        try:
            return find_spec(module) is not None
        except ValueError:  # a module that was put in the place of another
            return False

    return [backend.name for backend in _built_in() if any(map(is_there, backend.modules))]


def is_for_tests(name: str) -> bool:
    """Whether an engine decodes to something else than the picture."""
    return name.partition(":")[0] in _FOR_TESTS


def unknown_engine(name: str) -> InvalidArgument:
    """The error for a name that no backend has."""
    import difflib  # only here: every command imports this module to name the engines in its help

    names = engine_names()
    nearest = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"the engines are {', '.join(names)}"
    return InvalidArgument(f"there is no engine {name!r}", hint=hint)


def plugin_of(library: str | None, device: str | None) -> Plugin | None:
    """What is asked of a plugin, if anything. Raises InvalidArgument for a device without one."""
    if library is None and device is not None:
        raise InvalidArgument(
            f"there is no plugin that could have a device {device!r}", hint="give the plugin's library too"
        )
    return None if library is None else Plugin(library, device)


def require_engine(name: str, plugin: Plugin | None = None) -> None:
    """Fail early, before any graph is read. Raises InvalidArgument for an unknown name, EngineUnavailable."""
    if plugin is not None:
        _engine_of_plugin(name, plugin)
    elif name != AUTO:
        backend, variant = _find(name)
        if backend.native is not None and backend.native(variant) is not None:
            return
        with _failures_of(name):
            backend.engine.require(variant)


def native_engine(
    name: str, plugin: Plugin | None = None, *, one_shot: bool = False
) -> tuple[NativeEngine | None, tuple[tuple[str, str], ...]]:
    """The engine called `name`, or the first that `auto` can use, if the native library runs it; None otherwise.

    And for `auto` the engines that were passed over, and why. Raises what `require_engine` does for a name.
    """
    if plugin is not None:
        return _engine_of_plugin(name, plugin), ()
    order, passed_over = _auto_order(one_shot) if name == AUTO else ([name], [])
    for candidate in order:
        backend, variant = _find(candidate)
        if backend.native is not None and (found := backend.native(variant)) is not None:
            return found, tuple(passed_over)
        if name != AUTO:
            break
        try:
            backend.engine.require(variant)
        except EngineError as error:
            passed_over.append((candidate, error.message))
        else:
            break
    return None, ()


def preferred_precision(name: str, *, one_shot: bool = False) -> str:
    """In which decoders run on the engine called `name`, or on the first that `auto` can use, where nobody names one.

    Raises what `require_engine` does for a name.
    """
    if name != AUTO:
        backend, variant = _find(name)
        return next(each.precision for each in backend.variants if each.name == variant)
    for candidate in _auto_order(one_shot)[0]:
        try:
            require_engine(candidate)
        except EngineError:
            continue
        return preferred_precision(candidate)
    return SINGLE


def open_engine(name: str, graph: Graph, options: Options) -> Engine:
    """Load `graph` on the engine called `name`. Raises InvalidArgument, EngineUnavailable, EngineFailed."""
    if name != AUTO:
        backend, variant = _find(name)
        with _failures_of(name):
            backend.engine.require(variant)
            engine = backend.engine.load(graph, variant, options)
        return ForeignEngine(engine, name) if _is_foreign(name) else engine
    order, passed_over = _auto_order(options.one_shot)
    for candidate in order:
        try:
            engine = open_engine(candidate, graph, replace(options, only_verified=True))
        except EngineError as error:
            passed_over.append((candidate, error.message))
            cause = error
        else:
            engine.passed_over = tuple(passed_over)
            return engine
    raise EngineUnavailable(
        "no engine can be used: " + "; ".join(f"{tried}: {why}" for tried, why in passed_over),
        where=AUTO,
        hint=cause.hint,
    ) from cause


def _engine_of_plugin(name: str, plugin: Plugin) -> NativeEngine:
    backend_name, _, provider = name.partition(":")
    takes_plugins = [each for each in _built_in() if each.plugin is not None]
    for backend in takes_plugins:
        if backend.plugin is not None and backend.name == backend_name and provider:
            return backend.plugin(provider, plugin)
    wanted = " or ".join(f"{backend.name}:NAME" for backend in takes_plugins)
    raise InvalidArgument(
        f"the engine {name!r} takes no plugin", hint=f"name the engine {wanted}, with the name of the plugin's provider"
    )


def _is_foreign(name: str) -> bool:
    own_name = name.partition(":")[0]
    return own_name not in _BUILT_IN and own_name not in _FOR_TESTS


def _failures_of(name: str) -> AbstractContextManager[None]:
    """Where an engine of another package is called: what it raises names it."""
    return failures_of(name) if _is_foreign(name) else nullcontext()


def _built_in() -> list[Backend]:
    return [_of_module(module) for module in _BUILT_IN.values()]


def _of_module(module: str) -> Backend:
    backend: Backend = import_module(module).BACKEND
    return backend


def _auto_order(one_shot: bool) -> tuple[list[str], list[tuple[str, str]]]:
    """The engines that `auto` tries in turn, and those that it puts last for one picture, with the reason."""
    ranked = sorted(
        (one_shot and variant.slow_start, variant.auto_rank, name)
        for backend in _built_in()
        for variant, name in zip(backend.variants, backend.engine_names(), strict=True)
        if variant.auto_rank is not None
    )
    return [name for *_, name in ranked], [(name, _SLOW_START) for put_last, _, name in ranked if put_last]


def tolerance(name: str) -> Tolerance | None:
    """What the arithmetic of an engine may change in the pixels, None where it is that of the graph."""
    backend, variant = _find(name)
    return next(each.tolerance for each in backend.variants if each.name == variant)


def preparation(name: str) -> tuple[str, str]:
    """What an engine needs of each bundle before it runs there (`Backend.preparation`), and the device that it runs on.

    Raises what `require_engine` does for a name.
    """
    backend, variant = _find(name)
    return backend.preparation, next(each.device for each in backend.variants if each.name == variant)


def _find(name: str) -> tuple[Backend, str]:
    """The backend of an engine and its variant. Raises InvalidArgument, and EngineUnavailable for a broken package."""
    own_name, _, variant = name.partition(":")
    module = _BUILT_IN.get(own_name) or _FOR_TESTS.get(own_name)
    backend = _of_module(module) if module else _of_another_package(own_name)
    if backend is None or name not in backend.engine_names():
        raise unknown_engine(name)
    return backend, variant


def _of_another_package(name: str) -> Backend | None:
    """Raises EngineUnavailable where a package offers a backend of that name that cannot be loaded."""
    from importlib import metadata  # only here, because it takes as long to import as the whole registry

    offers = metadata.entry_points(group=ENTRY_POINTS, name=name) if name else ()
    for offer in offers:
        try:
            backend = offer.load()
        except Exception as error:  # whatever the package raises while it is imported
            raise EngineUnavailable(
                f"its package cannot be loaded: {error}", where=name, hint=f"reinstall what provides {offer.value}"
            ) from error
        if not isinstance(backend, Backend):
            raise EngineUnavailable(
                f"{offer.value} is no edgecodec.engine.Backend", where=name, hint="update the package that provides it"
            )
        return backend
    return None
