"""Which tests and native test programs concern a source file, cheapest first."""

from __future__ import annotations

from fnmatch import fnmatch

_CONTAINER = ["native/sections", "runtime/noise_seed", "native/truncation", "native/resealed", "native/bitflip"]
_MODEL = ["native/corrupt_entropy_model", "native/exactness_entropy_model"]
_CODER = ["native/corrupt_coder", "native/exactness_coder"]
_NETS = ["native/corrupt_integer_net", "native/exactness_integer_net"]
_GOLDEN = ["native/golden_files"]
_BUNDLES = ["runtime/bundle_tampered", "runtime/bundle_files", "runtime/bundle_links"]
_METADATA = ["runtime/tiff_directories", "runtime/metadata", "runtime/picture_depth",
             "runtime/metadata_does_not_steer", "runtime/picture_opening"]  # fmt: skip
_COMMANDS = ["runtime/cli", "runtime/cli_knobs", "runtime/batches"]
_KNOBS = ["runtime/knobs", "runtime/knobs_as_data"]
_ENGINES = ["runtime/graph_outputs", "runtime/engines", "runtime/threads"]

#: The first pattern that a path matches decides.
# fmt: off
_TABLE: list[tuple[str, list[str]]] = [
    ("edgecodec/bundle.py", [*_BUNDLES, *_ENGINES]),
    ("edgecodec/codec.py", ["runtime/padding", "runtime/sizes", "runtime/noise_seed", *_KNOBS, "runtime/labels",
                            "runtime/limits", "runtime/engines", "runtime/tiling"]),
    ("edgecodec/container.py", [*_CONTAINER, *_GOLDEN, "runtime/cli"]),
    ("edgecodec/encoding.py", ["runtime/padding", "runtime/rate_search", *_KNOBS, "runtime/labels", "runtime/sizes"]),
    ("edgecodec/engine*.py", _ENGINES),
    ("edgecodec/entropy_model.py", [*_MODEL, "native/exactness_labels", "runtime/labels", *_GOLDEN]),
    ("edgecodec/errors.py", ["runtime/errors", "runtime/cli"]),
    ("edgecodec/exif.py", _METADATA),
    ("edgecodec/files.py", ["runtime/atomic_write", "runtime/streams", "runtime/batches", "runtime/picture_opening"]),
    ("edgecodec/foreign_engine.py", _ENGINES),
    ("edgecodec/jpeg_segments.py", _METADATA),
    ("edgecodec/knob*.py", [*_KNOBS, "runtime/cli_knobs"]),
    ("edgecodec/limits.py", ["runtime/limits", "runtime/sizes", "runtime/picture_opening", "runtime/cli"]),
    ("edgecodec/loading.py", [*_BUNDLES, *_ENGINES, "runtime/tiling"]),
    ("edgecodec/manifest.py", [*_BUNDLES, *_KNOBS, "runtime/rate_search", "runtime/tiling"]),
    ("edgecodec/interface.py", ["native/interface"]),
    ("edgecodec/job.py", ["runtime/padding", "runtime/graph_outputs", "runtime/threads", *_KNOBS, "runtime/tiling"]),
    ("edgecodec/memory.py", ["runtime/tiling"]),
    ("edgecodec/native.py", ["native/native_library", *_CONTAINER, *_MODEL, *_CODER]),
    ("edgecodec/noise.py", ["runtime/exactness_noise", "runtime/noise_seed"]),
    ("edgecodec/picture*.py", [*_METADATA, "runtime/sizes", "runtime/pillow_plugin", "runtime/streams"]),
    ("edgecodec/pillow_plugin.py", ["runtime/pillow_plugin"]),
    ("edgecodec/png_chunks.py", _METADATA),
    ("edgecodec/regular_file.py", ["runtime/bundle_links", "runtime/bundle_files"]),
    ("edgecodec/side_inputs.py", ["runtime/labels", "runtime/noise_seed"]),
    ("edgecodec/tiff_*.py", _METADATA),
    ("edgecodec/tiling.py", ["runtime/tiling"]),
    ("edgecodec/graph_choice.py", ["runtime/build_command"]),
    ("edgecodec/verify.py", ["runtime/build_command", *_COMMANDS, *_BUNDLES]),
    ("edgecodec/cli/build.py", ["runtime/build_command"]),
    ("edgecodec/cli/console.py", ["runtime/streams", *_COMMANDS]),
    ("edgecodec/cli/knob_options.py", ["runtime/knobs_as_data", *_COMMANDS]),
    ("edgecodec/cli/results.py", [*_COMMANDS, "runtime/tiling"]),
    ("edgecodec/cli/train.py", [*_COMMANDS, "train/train_command"]),
    ("edgecodec/cli/signals.py", ["runtime/interrupts", *_COMMANDS]),
    ("edgecodec/*.py", [*_COMMANDS, *_BUNDLES]),
    ("engines/edgecodec_engines/tensorrt_plans/*.py", ["runtime/plan_profiles", "runtime/plan_cache",
        "runtime/tensorrt_module", "runtime/build_command", "runtime/plan_building"]),
    ("engines/*.py", [*_ENGINES, "runtime/interrupts"]),
    ("native/src/bundle/bundle.*", ["native/bundle_opening", *_BUNDLES]),
    ("native/src/bundle/mapped_file.*", ["native/bundle_opening", *_BUNDLES]),
    ("native/src/bundle/regular_file.*", ["native/bundle_opening", *_BUNDLES]),
    ("native/src/bundle/graph_file.*", ["native/graph_reader"]),
    ("native/src/bundle/onnx_fields.*", ["native/graph_reader"]),
    ("native/src/bundle/wire_reader.h", ["native/graph_reader"]),
    ("native/src/bundle/*", ["native/index", "runtime/bundle_tampered"]),
    ("native/src/runtime/available_memory.*", ["native/free_memory"]),
    ("native/src/runtime/knobs.*", ["native/exactness_knobs", *_KNOBS]),
    ("native/src/runtime/limits.*", ["native/exactness_limits", "runtime/limits"]),
    ("native/src/runtime/noise.*", ["native/exactness_normal_noise", "runtime/noise_seed"]),
    ("native/src/runtime/padding.*", ["native/exactness_padding", "runtime/padding"]),
    ("native/src/runtime/rate_search.*", ["native/exactness_rate_search", "runtime/rate_search"]),
    ("native/src/runtime/side_inputs.*", ["native/exactness_side_inputs", "runtime/labels"]),
    ("native/src/runtime/windows.*", ["native/exactness_windows", "runtime/tiling"]),
    ("native/src/runtime/*", ["runtime/limits", "runtime/noise_seed", "runtime/rate_search", "runtime/labels", *_KNOBS,
                              *_ENGINES, "runtime/bundle_tampered", "runtime/padding", "runtime/tiling",
                              "runtime/sizes"]),
    ("native/src/onnxruntime/custom_op.*", ["native/fused_operator", "runtime/fused_graphs"]),
    ("native/src/onnxruntime/fused_decoder.*", ["native/fused_operator", "runtime/fused_graphs"]),
    ("native/src/onnxruntime/*", ["native/onnxruntime_engine", "native/fused_operator"]),
    ("native/src/api_*.cpp", ["native/bundle_opening", "runtime/padding", "runtime/sizes", "runtime/threads"]),
    ("native/src/support/sha256*", ["native/bundle_opening"]),
    ("native/src/support/number_text.*", ["native/exactness_knobs", "runtime/knobs"]),
    ("native/src/container/*", [*_CONTAINER, *_GOLDEN]),
    ("native/src/core_container.cpp", ["native/missing_arguments", *_CONTAINER, *_GOLDEN]),
    ("native/src/core_graph.cpp", ["native/missing_arguments", "native/graph_reader"]),
    ("native/src/core_coder.cpp", ["native/missing_arguments", *_CODER]),
    ("native/src/core_net.cpp", ["native/missing_arguments", *_NETS]),
    ("native/src/model/label_map.*", ["native/exactness_labels", *_GOLDEN]),
    ("native/src/model/step_labels.cpp", ["native/exactness_labels", *_GOLDEN]),
    ("native/src/model/*mixture.*", [*_MODEL, "native/exactness_mixture", *_GOLDEN]),
    ("native/src/model/step_context.cpp", ["native/exactness_context", "native/exactness_channel_slices", *_GOLDEN]),
    ("native/src/model/*", [*_MODEL, "native/exactness_channel_slices", "native/exactness_context", *_GOLDEN]),
    ("native/src/nets/*", [*_NETS, *_MODEL, *_GOLDEN]),
    ("native/src/rans/*", [*_CODER, *_GOLDEN, "native/exactness_context", "native/exactness_labels"]),
    ("native/src/support/parallel_rows.*", ["native/native_library", *_NETS]),
    ("native/src/*", ["native/missing_arguments", "native/native_library", *_CONTAINER, *_CODER, *_NETS, *_MODEL,
                      *_GOLDEN, "native/graph_reader"]),
]
# fmt: on

#: What the programs of tests/native drive through edgecodec.h, with an engine of their own.
_DRIVEN_BY_PROGRAMS = ["native/src/runtime/*", "native/src/bundle/*", "native/src/api_*.cpp"]


def concerning_tests(path: str) -> list[str]:
    """Paths of the test files that concern the source file at `path`; empty if it is none that is mutated."""
    for pattern, names in _TABLE:
        if fnmatch(path, pattern):
            return ["tests/{}/test_{}.py".format(*name.split("/")) for name in names]
    return []


def concerning_programs(path: str) -> list[str]:
    """Names of the programs of tests/native, which take a bundle, that concern the source file at `path`."""
    return ["misuse", "runtime"] if any(fnmatch(path, pattern) for pattern in _DRIVEN_BY_PROGRAMS) else []
