// The structs and numbers of edgecodec.h and core.h that a page needs, under their names there.
import {
  array,
  characters,
  float64,
  int32,
  int64,
  pointer,
  size,
  struct,
  text,
  uint32,
  uint64,
  uint8,
} from "./structs.js";

export const OK = 0;
export const ENGINE_FAILED = 61;
export const INTERNAL = 90;

export const DECODE = 2; // ec_side
export const TYPES = { 1: "uint8", 2: "int16", 3: "int64", 4: "float32" }; // ec_type
export const SECTIONS = { 1: "icc", 2: "exif", 3: "xmp" };

export const error = struct({
  struct_size: size,
  status: int32,
  offset: int64,
  message: characters(512),
  where: characters(1024),
  hint: characters(512),
});

const section = struct({ tag: uint32, data: pointer, size });

export const fileInfo = struct({
  struct_size: size,
  version: uint32,
  width: uint32,
  height: uint32,
  greyscale: uint32,
  has_quality: uint32,
  quality: float64,
  model_id: uint32,
  lanes: uint32,
  noise_seed: uint64,
  payload_offset: uint64,
  payload_bytes: uint64,
  section_count: uint32,
  sections: array(section, 16),
});

export const knobValue = struct({ name: text, value: float64 });

// The fields after `default_value` belong to encoders.
export const knob = struct({
  name: text,
  help: text,
  side: uint32,
  values: pointer,
  value_count: size,
  low: float64,
  high: float64,
  default_value: float64,
});

// The fields after `file` are the library's concern.
export const model = struct({ id: uint32, file: text });

// As far as a page reads it.
export const graph = struct({ number: uint32, file: text });

export const bundleFile = struct({ name: text, size: uint64, sha256: array(uint8, 32) });

export const bundleInfo = struct({
  struct_size: size,
  schema: uint32,
  family: text,
  preset: text,
  models: pointer,
  model_count: size,
  knobs: pointer,
  knob_count: size,
  graphs: pointer,
  graph_count: size,
  files: pointer,
  file_count: size,
});

export const weights = struct({ location: text, data: pointer, size });

export const graphData = struct({
  struct_size: size,
  graph: pointer,
  path: text,
  data: pointer,
  size,
  weights: pointer,
  weight_count: size,
  owner: pointer,
});

export const tensor = struct({
  name: text,
  type: uint32,
  rank: uint32,
  shape: array(int64, 4),
  data: pointer,
  bytes: size,
});

const limits = struct({ max_pixels: uint64, max_side: uint64, max_file_bytes: uint64, max_pixels_per_byte: uint64 });

const allocator = struct({ allocate: pointer, release: pointer, context: pointer });

export const codecOptions = struct({
  struct_size: size,
  engine: pointer,
  engine_table: pointer,
  onnxruntime_library: pointer,
  provider_library: pointer,
  knobs: pointer,
  knob_count: size,
  precision: pointer,
  encode_precision: pointer,
  threads: uint32,
  tile: uint32,
  max_memory: uint64,
  limits,
  allocator,
});

export const decodeOptions = struct({ struct_size: size, knobs: pointer, knob_count: size, channels: uint32 });

export const step = struct({
  struct_size: size,
  graph: pointer,
  low_memory: uint32,
  inputs: pointer,
  input_count: size,
  outputs: pointer,
  output_count: size,
});

const timings = struct({ parse: float64, entropy: float64, engine: float64, rest: float64 });

const tiles = struct({ count: uint32, height: uint32, width: uint32, overhead: float64 });

export const picture = struct({
  struct_size: size,
  pixels: pointer,
  capacity: size,
  row_stride: size,
  width: uint32,
  height: uint32,
  channels: uint32,
  section_count: uint32,
  sections: array(section, 16),
  timings,
  tiles,
  graph: pointer,
});

const span = struct({ offset: uint64, size: uint64 });

export const coreWeights = struct({ location: span, values: span });
