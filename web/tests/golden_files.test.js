// What was written once is read for ever, in WebAssembly too: the files of tests/data/golden.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { GOLDEN, load, wasm } from "./site.js";

const { Library } = await load("library.js");
const { PageFiles } = await load("page_files.js");
const header = await load("header.js");
const { pointer, struct, text, uint32 } = await load("structs.js");

const coreTensor = struct({ name: text, channels: uint32, stride: uint32 });
const library = await Library.load(wasm(), new PageFiles());
const { memory } = library;

function digests(place, data, modelData) {
  const at = place.bytes(data);
  const info = place.struct(header.fileInfo);
  library.call("ec_peek", at, data.length, info);
  const { width, height, lanes, payload_offset, payload_bytes } = header.fileInfo.read(memory, info);
  const model = library.open("ec_core_model_open", place.bytes(modelData), modelData.length);
  const latents = [];
  const tensor = place.memory(coreTensor.size);
  for (let i = 0; i < library.do("ec_core_model_decoder_latent_count", model); ++i) {
    library.do("ec_core_model_decoder_latent", model, i, tensor);
    latents.push(coreTensor.read(memory, tensor));
  }
  // Sides are rounded up to the alignment (docs/format.md, section 2).
  const alignment = library.do("ec_core_model_alignment", model);
  const aligned = (side) => Math.ceil(side / alignment) * alignment;
  const planes = latents.map(({ channels, stride }) => {
    const bytes = 2 * channels * (aligned(height) / stride) * (aligned(width) / stride);
    return { at: place.memory(bytes), bytes };
  });
  const places = place.memory(4 * planes.length);
  planes.forEach((plane, i) => pointer.write(memory, places + 4 * i, plane.at));
  try {
    library.call("ec_core_decode", model, width, height, lanes, at + payload_offset, payload_bytes, places, 1);
  } finally {
    library.do("ec_core_model_close", model);
  }
  return latents.map(({ name }, i) => {
    const crc = library.do("ec_core_crc32", planes[i].at, planes[i].bytes) >>> 0;
    return `${name}=${crc.toString(16).padStart(8, "0")}`;
  });
}

const lines = readFileSync(join(GOLDEN, "digests.txt"), "ascii").split("\n");
const goldens = lines.filter((line) => line && !line.startsWith("#")).map((line) => line.split(" "));
const contents = (name) => readFileSync(join(GOLDEN, name));

test("there are golden files", () => assert.ok(goldens.length > 50));

for (const [picture, model, , ...listed] of goldens) {
  test(`latents of ${picture} are those that are listed`, () =>
    library.scope((place) => assert.deepEqual(digests(place, contents(picture), contents(model)), listed)));
}

test("a changed payload is refused", () =>
  library.scope((place) => {
    const data = contents("tiny-photo-8.edgc");
    data[data.length - 20] ^= 16;
    assert.throws(() => digests(place, data, contents("tiny.bin")), { name: "EdgecodecError" });
  }));
