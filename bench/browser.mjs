// The half of bench/browser.py that runs in Node: decodes once for every line that it reads, and writes what it took.
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [site, folder, file] = process.argv.slice(2);
const module = (name) => import(pathToFileURL(join(site, "edgecodec", name)));
const { openBundle } = await module("index.js");
const origin = "https://example.org/";
const fetch = async (url) => new Response(await readFile(join(folder, url.slice(origin.length))));
const data = readFileSync(file);
const wasm = readFileSync(join(site, "edgecodec/edgecodec.wasm"));
const ort = await module("ort/ort.wasm.min.mjs");

const say = (values) => console.log(JSON.stringify(values));
const start = process.cpuUsage();
const used = (since) => Object.values(process.cpuUsage(since)).reduce((a, b) => a + b) / 1000;
const bundle = await openBundle(origin, { library: wasm, ort, fetch });
const { latentsSha256 } = await bundle.decode(data);
say({ latents: latentsSha256, first: used(start), memory: bundle.memoryBytes });
for await (const _ of createInterface({ input: process.stdin })) {
  const before = process.cpuUsage();
  const { entropy, engine, rest } = (await bundle.decode(data)).timings;
  say({ cpu: used(before), entropy: 1000 * entropy, engine: 1000 * engine, rest: 1000 * rest });
}
