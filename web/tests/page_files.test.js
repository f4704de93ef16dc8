// The files of a page are read as those of a system are: one part after the other, to their end.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./site.js";

const { PageFiles } = await load("page_files.js");

// Memory with the name "a/b" at 0.
const space = new Uint8Array(16);
space.set(new TextEncoder().encode("a/b"));
const memory = () => ({ bytes: (at, size) => space.subarray(at, at + size) });

test("a file is read in parts", () => {
  const files = new PageFiles();
  files.add("a/b", Uint8Array.of(1, 2, 3, 4, 5));
  const calls = files.imports(memory);
  const file = calls.file_open(0, 3);
  assert.equal(calls.file_size(file), 5);
  const parts = [3, 8, 8].map((capacity) => calls.file_read(file, 8, capacity));
  assert.deepEqual(parts, [3, 2, 0]);
  assert.deepEqual([...space.subarray(8, 11)], [4, 5, 3]);
  calls.file_close(file);
  assert.equal(calls.file_read(calls.file_open(0, 3), 8, 8), 5);
});

test("a file that was only promised has a size and no contents", () => {
  const files = new PageFiles();
  const calls = files.imports(memory);
  assert.equal(calls.file_open(0, 3), -1);
  files.promise("a/b", 7);
  const file = calls.file_open(0, 3);
  assert.equal(calls.file_size(file), 7);
  assert.equal(calls.file_read(file, 8, 8), -1);
  files.add("a/b", Uint8Array.of(1));
  files.release("a/b");
  assert.equal(calls.file_read(calls.file_open(0, 3), 8, 8), -1);
});
