// What web/build made, and where the checkout's test data are.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

export const ROOT = join(import.meta.dirname, "../..");
export const SITE = process.env.EDGECODEC_SITE ?? join(ROOT, "build/web");
export const NPM = process.env.EDGECODEC_NPM ?? join(ROOT, "build/web-work/npm");
export const TINY = join(ROOT, "tests/data/tiny.bundle");
export const GOLDEN = join(ROOT, "tests/data/golden");

export const wasm = () => readFileSync(join(SITE, "edgecodec/edgecodec.wasm"));

// The module of the site, from the site.
export const load = (name) => import(pathToFileURL(join(SITE, "edgecodec", name)));

// onnxruntime-web for Node, whose modules cannot be imported over the network.
export async function onnxruntime() {
  return import(pathToFileURL(join(NPM, "node_modules/onnxruntime-web/dist/ort.wasm.min.mjs")));
}

export const manifest = (folder) => JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8"));
