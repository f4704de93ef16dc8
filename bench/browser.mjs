// The half of bench/browser.py that runs in Node: decodes once for every line that it reads, and writes what it took,
// in processor milliseconds.
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [site, folder, file] = process.argv.slice(2);
const module = (name) => import(pathToFileURL(join(site, "edgecodec", name)));
const { openBundle } = await module("index.js");
const ort = await module("ort/ort.wasm.min.mjs");
const origin = "https://example.org/";
const fetch = async (url) => new Response(await readFile(join(folder, url.slice(origin.length))));
const library = readFileSync(join(site, "edgecodec/edgecodec.wasm"));
const data = readFileSync(file);

const say = (values) => console.log(JSON.stringify(values));
const used = (since) => Object.values(process.cpuUsage(since)).reduce((a, b) => a + b) / 1000;

// ONNX Runtime's module, with sessions that say when they begin and end.
let start = process.cpuUsage();
let begin, end;
const watched = {
  env: ort.env,
  Tensor: ort.Tensor,
  InferenceSession: {
    create: async (...values) => {
      const session = await ort.InferenceSession.create(...values);
      const run = async (feeds) => {
        begin = used(start);
        const results = await session.run(feeds);
        end = used(start);
        return results;
      };
      return { run, release: () => session.release() };
    },
  },
};

const bundle = await openBundle(origin, { library, ort: watched, fetch });
const { latentsSha256 } = await bundle.decode(data);
say({ latents: latentsSha256, first: used(start), memory: bundle.memoryBytes });
for await (const _ of createInterface({ input: process.stdin })) {
  start = process.cpuUsage();
  await bundle.decode(data);
  const cpu = used(start);
  say({ cpu, before: begin, engine: end - begin, after: cpu - end });
}
