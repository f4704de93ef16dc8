// A bundle decodes in WebAssembly and onnxruntime-web to what was written when it was exported.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { openTiny } from "./bundle_in_memory.js";
import { folderFetch } from "./folder_fetch.js";
import { readPng } from "./png.js";
import { manifest, TINY } from "./site.js";
import { largestDifference } from "./tolerance.js";

const opaque = ({ data }) => data.filter((_, i) => i % 4 !== 3);
const [golden] = manifest(TINY).golden;
const data = readFileSync(join(TINY, golden.file));
const wide = readFileSync(join(import.meta.dirname, "data/wide.edgc"));
const bundle = await openTiny();
after(() => bundle.close());

test("the bundle says what it is", () => {
  assert.equal(bundle.family, "hific");
  assert.deepEqual(
    bundle.knobs.map(({ name, values, default: value }) => [name, values, value]),
    [["alpha", [0, 0.5, 1], 1]],
  );
});

for (const { file, knobs } of golden.pictures) {
  test(`pixels of ${file} are within the tolerance, latents exact`, async () => {
    const picture = await bundle.decode(data, { knobs });
    const { width, height, pixels } = readPng(readFileSync(join(TINY, file)));
    assert.deepEqual([picture.width, picture.height], [width, height]);
    assert.ok(largestDifference(picture.image.data, pixels) <= 1);
    assert.ok(picture.image.data.every((value, i) => i % 4 !== 3 || value === 255));
    assert.equal(picture.latentsSha256, golden.latents_sha256);
    assert.deepEqual(
      picture.latents.map(({ name }) => name),
      ["z", "r"],
    );
    assert.equal(picture.bitsPerPixel, (8 * data.length) / (width * height));
  });
}

test("decoders of other knobs give other pixels", async () => {
  const [one, other] = await Promise.all([0, 1].map((alpha) => bundle.decode(data, { knobs: { alpha } })));
  assert.ok(largestDifference(one.image.data, opaque(other.image)) > 1);
});

test("a picture without a knob has its default", async () => {
  const [one, other] = await Promise.all([bundle.decode(data), bundle.decode(data, { knobs: { alpha: 1 } })]);
  assert.deepEqual(one.image.data, other.image.data);
});

test("only the files that a decode needs are fetched, each once", async () => {
  const fetch = folderFetch(TINY);
  const lean = await openTiny({ fetch });
  await Promise.all([0, 0].map((alpha) => lean.decode(data, { knobs: { alpha } })));
  await lean.decode(data, { knobs: { alpha: 0 } });
  await lean.close();
  assert.deepEqual(fetch.asked, ["index.bin", "entropy.bin", "synthesis-alpha0.onnx"]);
});

test("in tiles the pixels are the same", async () => {
  const tiled = await openTiny({ maxMemory: 22_000_000 });
  const [one, whole] = [await tiled.decode(wide), await bundle.decode(wide)];
  await tiled.close();
  assert.ok(one.tiles.count > 1);
  assert.ok(largestDifference(one.image.data, opaque(whole.image)) <= 1);
});

test("memory does not grow with the number of pictures", async () => {
  for (let i = 0; i < 3; ++i) await bundle.decode(wide);
  const before = bundle.memoryBytes;
  for (let i = 0; i < 30; ++i) await bundle.decode(wide);
  assert.equal(bundle.memoryBytes, before);
});
