// Files and servers that are not to be trusted are refused with the library's message.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { openTiny } from "./bundle_in_memory.js";
import { folderFetch, ORIGIN } from "./folder_fetch.js";
import { GOLDEN, TINY } from "./site.js";

const contents = (name) => readFileSync(join(TINY, name));
const data = contents("golden/photo.edgc");
const bundle = await openTiny();
after(() => bundle.close());

// The numbers are those of ec_status.
const refused = (status, message) => (error) => {
  assert.equal(error.name, "EdgecodecError", String(error));
  assert.equal(error.status, status, error.message);
  assert.match(error.message, message);
  return true;
};

test("what is no coded picture is", async () => {
  await assert.rejects(bundle.decode(contents("golden/photo-alpha0.png")), refused(30, /./));
  await assert.rejects(bundle.decode(new Uint8Array(0)), refused(30, /./));
});

test("a picture that is cut at any byte is", async () => {
  for (let size = 1; size < data.length; size += 37) {
    await assert.rejects(bundle.decode(data.subarray(0, size)), { name: "EdgecodecError" });
  }
});

test("a picture with a bit changed is", async () => {
  for (let i = 0; i < data.length; i += 41) {
    const changed = Uint8Array.from(data);
    changed[i] ^= 1 << (i % 8);
    await assert.rejects(bundle.decode(changed), { name: "EdgecodecError" });
  }
});

test("a picture of another model is", async () => {
  await assert.rejects(
    bundle.decode(readFileSync(join(GOLDEN, "channels-drawn-8.edgc"))),
    refused(41, /^was coded with model .*, this bundle is b5cfa644$/),
  );
});

test("a picture beyond the limit is", async () => {
  const small = await openTiny({ maxPixels: 1000 });
  await assert.rejects(small.decode(data), refused(50, /200x136 is more than the limit of 1000 pixels/));
  await small.close();
});

test("a value that was not exported is", async () => {
  await assert.rejects(
    bundle.decode(data, { knobs: { alpha: 0.3 } }),
    refused(45, /nothing was exported for alpha=0.3/),
  );
  await assert.rejects(bundle.decode(data, { knobs: { beta: 1 } }), refused(45, /beta/));
});

test("after a refusal the bundle still decodes", async () => {
  await assert.rejects(bundle.decode(data.subarray(0, 500)));
  assert.equal((await bundle.decode(data)).width, 200);
});

test("a folder without an index is", () =>
  assert.rejects(openTiny({ changed: { "index.bin": null } }), (error) => {
    assert.equal(error.where, ORIGIN);
    return refused(43, /^has no index.bin$/)(error);
  }));

test("an index that is none is", () =>
  assert.rejects(openTiny({ changed: { "index.bin": Buffer.from("<html>not found</html>") } }), (error) => {
    assert.equal(error.where, `${ORIGIN}index.bin`);
    return refused(43, /./)(error);
  }));

const turned = (name) => {
  const bytes = contents(name);
  bytes[bytes.length >> 1] ^= 1;
  return bytes;
};

test("an entropy model that was changed is", () =>
  assert.rejects(openTiny({ changed: { "entropy.bin": turned("entropy.bin") } }), refused(44, /SHA-256/)));

for (const [what, change, message] of [
  ["changed", turned, /SHA-256/],
  ["missing", () => null, /cannot be read/],
  ["shortened", (name) => contents(name).subarray(0, 70000), /./],
  ["replaced by a page", () => Buffer.from("<html>"), /./],
]) {
  test(`a graph that is ${what} is`, async () => {
    const name = "synthesis-alpha1.onnx";
    const hostile = await openTiny({ changed: { [name]: change(name) } });
    await assert.rejects(hostile.decode(data), (error) => {
      assert.ok([42, 44].includes(error.status), String(error));
      assert.equal(error.where, ORIGIN + name);
      assert.match(error.message, message);
      return true;
    });
    await hostile.close();
  });
}

test("a file without end is, and is not read for ever", async () => {
  let sent = 0;
  const pull = (to) => {
    to.enqueue(new Uint8Array(65536));
    sent += 65536;
    if (sent > 1 << 22) to.close(); // enough to see it, and an end for the test
  };
  const endless = () => new ReadableStream({ pull });
  const normal = folderFetch(TINY);
  const fetch = async (url) => (url.endsWith("entropy.bin") ? new Response(endless()) : normal(url));
  await assert.rejects(openTiny({ fetch }), refused(44, /bytes, the index says 11220/));
  assert.ok(sent < 1 << 20);
});

test("an engine of another name is", () => assert.rejects(openTiny({ engine: "abacus" }), refused(20, /abacus/)));

test("a bundle that was closed is", async () => {
  const closed = await openTiny();
  await closed.close();
  await closed.close();
  await assert.rejects(closed.decode(data), refused(20, /closed/));
});
