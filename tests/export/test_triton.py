"""A Triton server gets what it needs: a configuration of its own schema, and a graph and library that work together."""

from __future__ import annotations

import importlib.util
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

import edgecodec
from edgecodec.errors import CannotRead, InvalidArgument, KnobUnavailable, OutputExists
from edgecodec_export import ExportOptions, TritonOptions, export_bundle, write_repository
from edgecodec_export.checkpoints import save_checkpoint
from edgecodec_export.report import summary
from edgecodec_export.triton.repository import _prefix
from support.command_line import run_command
from support.fused_sessions import decode_fused, onnxruntime
from support.make_tiny_bundle import tiny_model, tiny_pictures
from support.paths import TINY

MODELS = ["tiny-alpha0", "tiny-alpha0.5", "tiny-alpha1"]


@pytest.fixture(scope="module")
def schema() -> Any:
    """The messages of Triton's own configuration, loaded by its path because the package around it wants gRPC."""
    package = importlib.util.find_spec("tritonclient")
    assert package is not None and package.submodule_search_locations is not None
    path = Path(package.submodule_search_locations[0], "grpc", "model_config_pb2.py")
    spec = importlib.util.spec_from_file_location("model_config_pb2", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it was generated for an earlier protobuf
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That of the tiny bundle, which is where the configurations say that it is."""
    folder = tmp_path_factory.mktemp("triton") / "models"
    outcome = run_command("triton", TINY, "-o", folder, "--mounted-at", folder, "--instances", 2, "--threads", 1)
    assert outcome.status == 0, outcome.talk
    return folder


def _configuration(schema: Any, model: Path) -> Any:
    from google.protobuf import text_format

    return text_format.Parse((model / "config.pbtxt").read_text(), schema.ModelConfig())


def test_there_is_a_model_for_every_decoder(repository: Path) -> None:
    assert sorted(path.name for path in repository.iterdir()) == MODELS


@pytest.mark.parametrize("name", MODELS)
def test_the_configuration_is_of_the_schema_of_triton(repository: Path, schema: Any, name: str) -> None:
    configuration = _configuration(schema, repository / name)
    assert (configuration.name, configuration.backend, configuration.max_batch_size) == (name, "onnxruntime", 0)
    (group,) = configuration.instance_group
    assert (group.count, group.kind) == (2, schema.ModelInstanceGroup.KIND_CPU)
    assert configuration.parameters["intra_op_thread_count"].string_value == "1"


@pytest.mark.parametrize("name", MODELS)
def test_the_configuration_promises_the_ports_of_the_graph(repository: Path, schema: Any, name: str) -> None:
    configuration = _configuration(schema, repository / name)
    graph = onnx.load(repository / name / "1" / "model.onnx").graph
    promised = [*configuration.input, *configuration.output]
    found = [*graph.input, *graph.output]
    assert [port.name for port in promised] == [port.name for port in found]
    for port, value in zip(promised, found, strict=True):
        assert port.data_type == schema.TYPE_UINT8
        assert value.type.tensor_type.elem_type == onnx.TensorProto.UINT8
        assert list(port.dims) == [each.dim_value or -1 for each in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize("name", MODELS)
def test_what_the_configuration_names_decodes_the_warm_up(repository: Path, schema: Any, name: str) -> None:
    """As Triton's backend does it: the library by the path that the configuration has, the graph, one request."""
    model = repository / name
    configuration = _configuration(schema, model)
    (library,) = configuration.model_operations.op_library_filename
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.register_custom_ops_library(library)
    session = onnxruntime.InferenceSession(model / "1" / "model.onnx", options, providers=["CPUExecutionProvider"])
    (warmup,) = configuration.model_warmup
    given = warmup.inputs["file"]
    data = (model / "warmup" / given.input_data_file).read_bytes()
    assert list(given.dims) == [len(data)]
    with edgecodec.open_bundle(
        TINY, "onnxruntime", knobs={"alpha": float(name.removeprefix("tiny-alpha"))}, threads=1, tile="off"
    ) as codec:
        expected = codec.decode(data).pixels
    np.testing.assert_array_equal(decode_fused(session, data), expected)


def test_a_server_with_a_gpu_runs_the_network_there(tmp_path: Path, schema: Any) -> None:
    (model,) = write_repository(TritonOptions(TINY, tmp_path / "models", knobs={"alpha": [1]}, device="gpu"))
    configuration = _configuration(schema, tmp_path / "models" / model.name)
    assert configuration.instance_group[0].kind == schema.ModelInstanceGroup.KIND_GPU
    assert not configuration.parameters  # ONNX Runtime chooses its threads


def test_names_and_paths_are_those_that_were_asked_for(tmp_path: Path, schema: Any) -> None:
    library = tmp_path / "other.so"
    library.write_bytes(b"a library for another processor")
    options = TritonOptions(
        TINY, tmp_path / "models", knobs={"alpha": [0.5]}, name="photos", mounted_at="/srv/of models/", library=library
    )
    (model,) = write_repository(options)
    assert model.name == "photos-alpha0.5"
    folder = tmp_path / "models" / model.name
    assert (folder / "libedgecodec.so.0").read_bytes() == library.read_bytes()
    operations = _configuration(schema, folder).model_operations
    assert list(operations.op_library_filename) == ["/srv/of models/photos-alpha0.5/libedgecodec.so.0"]
    assert model.size == sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_models_that_are_there_are_kept_or_replaced_whole(tmp_path: Path) -> None:
    options = TritonOptions(TINY, tmp_path / "models", knobs={"alpha": [1]})
    write_repository(options)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with pytest.raises(OutputExists) as caught:
        write_repository(options)
    assert "tiny-alpha1" in str(caught.value)
    outcome = run_command("triton", TINY, "-o", tmp_path / "models", "--alpha", 1, "--force")
    assert outcome.status == 0, outcome.talk
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"device": "tpu"}, "no device 'tpu'"),
        ({"instances": 0}, "0 instances"),
        ({"name": "a/b"}, "'a/b' is no name"),
        ({"name": ".."}, "'..' is no name"),
        ({"mounted_at": "models"}, "no absolute path"),
        ({"max_pixels": 0}, "max_pixels is 0"),
    ],
)
def test_what_no_server_could_use_is_refused_before_anything_is_written(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidArgument, match=says):
        write_repository(TritonOptions(TINY, tmp_path / "models", **change))
    assert not any(file.is_file() for file in tmp_path.rglob("*"))


def test_no_folder_of_a_bundle_is_called_so_that_its_models_lie_elsewhere() -> None:
    names = {"...bundle": "bundle", ".bundle": "bundle", "..a.bundle": "a", "a b.bundle": "a_b"}
    assert {name: _prefix(Path("/tmp", name)) for name in names} == names


def test_a_knob_that_was_not_baked_and_a_library_that_is_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(KnobUnavailable, match=r"alpha=0\.7"):
        write_repository(TritonOptions(TINY, tmp_path / "models", knobs={"alpha": [0.7]}))
    with pytest.raises(CannotRead, match=r"nothing\.so"):
        write_repository(TritonOptions(TINY, tmp_path / "models", library=tmp_path / "nothing.so"))
    assert not (tmp_path / "models").exists()


def test_a_changed_golden_picture_warms_nothing_up(tmp_path: Path) -> None:
    shutil.copytree(TINY, tmp_path / "changed.bundle")
    (golden,) = (tmp_path / "changed.bundle" / "golden").glob("*.edgc")
    golden.write_bytes(golden.read_bytes()[:-1] + b"?")
    outcome = run_command("triton", tmp_path / "changed.bundle", "-o", tmp_path / "models")
    assert outcome.status != 0
    assert golden.name in outcome.talk


@pytest.mark.slow
def test_export_writes_the_repository_too(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "main.safetensors", tiny_model(), "hific", "tiny", {})
    (tmp_path / "photos").mkdir()
    for i, pixels in enumerate(tiny_pictures()):
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{i}.png")
    options = ExportOptions(
        [tmp_path / "main.safetensors"],
        tmp_path / "small.bundle",
        calibration=tmp_path / "photos",
        triton=tmp_path / "models",
        precision=("fp32",),
    )
    report = export_bundle(options)
    (model,) = report.triton
    assert [path.name for path in (tmp_path / "models").iterdir()] == [model.name] == ["small"]
    assert any(line.startswith("  Triton: small  ") for line in summary(report))
