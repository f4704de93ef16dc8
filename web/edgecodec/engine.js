// onnxruntime-web as the engine of a bundle's graphs.
import { EdgecodecError } from "./errors.js";
import { ENGINE_FAILED, TYPES } from "./header.js";

const ENTRIES = { wasm: "ort.wasm.min.mjs", webgpu: "ort.webgpu.min.mjs" };

// provider: "wasm" (the processor) or "webgpu". ort: the module of onnxruntime-web; without it that of the build, which
// lies in the folder `ort` beside this file.
export async function openEngine(provider, ort) {
  if (!(provider in ENTRIES)) throw new EdgecodecError({ status: 20, message: `there is no engine '${provider}'` });
  const folder = new URL("./ort/", import.meta.url);
  const module = ort ?? (await import(new URL(ENTRIES[provider], folder).href));
  if (ort === undefined) module.env.wasm.wasmPaths = folder.href;
  // More would need SharedArrayBuffer, which a page has only with headers that its server must send.
  module.env.wasm.numThreads = 1;
  return new Engine(module, provider);
}

class Engine {
  #ort;
  #provider;

  constructor(ort, provider) {
    this.#ort = ort;
    this.#provider = provider;
  }

  // data: Uint8Array of the ONNX file. weights: [{location, data}], which it has elsewhere. Both are copied.
  async load(data, weights) {
    return failing("refuses the graph", () =>
      this.#ort.InferenceSession.create(data, {
        executionProviders: [this.#provider],
        externalData: weights.map(({ location, data }) => ({ path: location, data })),
        logSeverityLevel: 3,
      }),
    );
  }

  // inputs: [{name, type, dims, data}] with the bytes of each; returns the bytes of each output, by name.
  async run(session, inputs) {
    return failing("failed while it ran the graph", async () => {
      const feeds = {};
      for (const { name, type, dims, data } of inputs)
        feeds[name] = new this.#ort.Tensor(TYPES[type], typed(type, data), dims);
      const results = await session.run(feeds);
      return Object.fromEntries(
        Object.entries(results).map(([name, { data }]) => [
          name,
          new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
        ]),
      );
    });
  }
}

const ARRAYS = { uint8: Uint8Array, int16: Int16Array, int64: BigInt64Array, float32: Float32Array };

// bytes: of a buffer of their own.
const typed = (type, bytes) => new ARRAYS[TYPES[type]](bytes.buffer);

async function failing(what, body) {
  try {
    return await body();
  } catch (cause) {
    throw new EdgecodecError(
      { status: ENGINE_FAILED, message: `the engine ${what}: ${cause.message ?? cause}` },
      { cause },
    );
  }
}
