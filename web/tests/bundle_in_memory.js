// openBundle for a folder of this machine.
import { folderFetch, ORIGIN } from "./folder_fetch.js";
import { load, onnxruntime, TINY, wasm } from "./site.js";

// changed: as in folderFetch. The names that were asked for are in `asked` of the result's fetch.
export async function openTiny({ changed = {}, fetch = folderFetch(TINY, changed), ...options } = {}) {
  const { openBundle } = await load("index.js");
  return openBundle(ORIGIN, { library: wasm(), ort: await onnxruntime(), fetch, ...options });
}
