// A bundle at a URL, and the pictures that it decodes. What lies between a file's bytes and the engine is done by
// libedgecodec, in the steps of a job; this file fetches what a step needs and runs the engine.
import { openEngine } from "./engine.js";
import { EdgecodecError } from "./errors.js";
import { fetchAtMost } from "./fetching.js";
import * as header from "./header.js";
import { Library } from "./library.js";
import { PageFiles } from "./page_files.js";
import { toPicture } from "./picture.js";
import { float64, pointed, sequence } from "./structs.js";

const INDEX = "index.bin";
const LARGEST_INDEX = 2 ** 22; // bytes, that the library reads
// Bounds for a page, less than what the library allows a program: pixels of a picture, and bytes of one call of the
// engine beside the weights, beyond which the library works in tiles.
const MAX_PIXELS = 2 ** 25;
const MAX_MEMORY = 2 ** 30;

// See index.d.ts.
export async function openBundle(url, options = {}) {
  const bundle = new Bundle(String(new URL(String(url).replace(/\/*$/, "/"), globalThis.location?.href)), options);
  await bundle.open();
  return bundle;
}

class Bundle {
  #options;
  #fetch;
  #files = new PageFiles();
  #library;
  #sizes = new Map(); // by name, of the files that the index lists
  #models; // {id, file}
  #bundle;
  #codec;
  #engine;
  #sessions = new Map(); // by number of the graph
  #turn = Promise.resolve(); // of one decode after the other

  constructor(url, options) {
    this.url = url;
    this.#options = options;
    this.#fetch = options.fetch ?? ((address) => globalThis.fetch(address));
  }

  async open() {
    const { library = new URL("./edgecodec.wasm", import.meta.url), engine = "wasm", ort } = this.#options;
    this.#library = await Library.load(library, this.#files);
    this.version = this.#library.version;
    await this.#readIndex();
    const { memory } = this.#library;
    this.#bundle = await this.#library.scope((place) => this.#library.open("ec_bundle_open", place.text(this.url)));
    const info = await this.#describe("ec_bundle_describe", this.#bundle);
    this.family = info.family;
    this.preset = info.preset;
    this.#models = pointed(header.model, memory, info.models, info.model_count);
    this.knobs = pointed(header.knob, memory, info.knobs, info.knob_count)
      .filter(({ side }) => side === header.DECODE)
      .map(({ name, help, values, value_count, default_value }) => ({
        name,
        help,
        values: sequence(float64, memory, values, value_count),
        default: default_value,
      }));
    if (this.#models.length === 1) await this.#fetchFile(this.#models[0].file);
    this.#codec = await this.#openCodec();
    this.#engine = await openEngine(engine, ort);
  }

  get memoryBytes() {
    return this.#library.memory.size;
  }

  // Fetches the index, and takes from it which other files there are.
  async #readIndex() {
    const index = await fetchAtMost(this.#fetch, this.url + INDEX, LARGEST_INDEX);
    if (index === null) return;
    this.#files.add(this.url + INDEX, index);
    let handle = 0;
    try {
      handle = await this.#library.scope((place) =>
        this.#library.open("ec_core_index_open", place.bytes(index), index.length),
      );
      const { files, file_count } = await this.#describe("ec_core_index_describe", handle);
      for (const { name, size } of pointed(header.bundleFile, this.#library.memory, files, file_count)) {
        this.#sizes.set(name, size);
        this.#files.promise(this.url + name, size);
      }
    } catch (error) {
      leaveToLibrary(error);
    } finally {
      this.#library.do("ec_core_index_close", handle);
    }
  }

  #describe(name, handle) {
    return this.#library.scope((place) => {
      const out = place.struct(header.bundleInfo);
      this.#library.call(name, handle, out);
      return header.bundleInfo.read(this.#library.memory, out);
    });
  }

  #openCodec() {
    const { precision, maxPixels = MAX_PIXELS, maxMemory = MAX_MEMORY } = this.#options;
    return this.#library.scope((place) =>
      this.#library.open(
        "ec_codec_open",
        this.#bundle,
        place.struct(header.codecOptions, {
          engine: place.text("none"),
          precision: precision === undefined ? 0 : place.text(precision),
          threads: 1,
          max_memory: maxMemory,
          limits: { max_pixels: maxPixels },
        }),
      ),
    );
  }

  // Makes a listed file one that the library can open. One that does not come stays a promise, and the library says so.
  async #fetchFile(name) {
    const path = this.url + name;
    if (!this.#sizes.has(name) || this.#files.has(path)) return;
    const bytes = await fetchAtMost(this.#fetch, path, this.#sizes.get(name));
    if (bytes !== null) this.#files.add(path, bytes);
  }

  decode(data, { knobs = {} } = {}) {
    const decoded = this.#turn.then(() =>
      this.#decode(data instanceof Uint8Array ? data : new Uint8Array(data), knobs),
    );
    this.#turn = decoded.catch(() => {});
    return decoded;
  }

  #decode(data, knobs) {
    if (this.#codec === undefined) throw new EdgecodecError({ status: 20, message: "the bundle is closed" });
    const library = this.#library;
    return library.scope(async (place) => {
      const file = place.bytes(data);
      const info = place.struct(header.fileInfo);
      library.call("ec_peek", file, data.length, info);
      const { model_id } = header.fileInfo.read(library.memory, info);
      for (const model of this.#models) if (model.id === model_id) await this.#fetchFile(model.file);

      const given = Object.entries(knobs).map(([name, value]) => ({ name: place.text(name), value }));
      const job = library.open(
        "ec_job_decode",
        this.#codec,
        file,
        data.length,
        place.struct(header.decodeOptions, {
          knobs: place.structs(header.knobValue, given),
          knob_count: given.length,
          channels: 3,
        }),
      );
      try {
        const latents = this.#latents(job, place);
        const load = await this.#runSteps(job, place);
        const out = place.struct(header.picture);
        library.call("ec_job_finish_decode", job, out);
        const picture = header.picture.read(library.memory, out);
        try {
          return toPicture(library.memory, picture, { file, data, latents, load });
        } finally {
          library.do("ec_free", picture.pixels);
        }
      } finally {
        library.do("ec_job_close", job);
      }
    });
  }

  // The integers of a job, and the SHA-256 of all of them as little-endian int16, one latent after the other, which is
  // what `latents_sha256` of manifest.json is.
  #latents(job, place) {
    const library = this.#library;
    const out = place.struct(header.tensor);
    const latents = [];
    for (let i = 0; ; ++i) {
      try {
        library.call("ec_job_latent", job, i, out);
      } catch (error) {
        if (i > 0 && error instanceof EdgecodecError) break; // beyond the last
        throw error;
      }
      const { name, shape, data, bytes } = header.tensor.read(library.memory, out);
      latents.push({ name, shape: shape.slice(0, 3), bytes: library.memory.bytes(data, bytes).slice() });
    }
    const all = new Uint8Array(latents.reduce((sum, { bytes }) => sum + bytes.length, 0));
    latents.reduce((end, { bytes }) => (all.set(bytes, end), end + bytes.length), 0);
    const digest = place.memory(32);
    library.do("ec_core_sha256", place.bytes(all), all.length, 1, digest);
    return {
      values: latents.map(({ name, shape, bytes }) => ({ name, shape, values: new Int16Array(bytes.buffer) })),
      sha256: hexadecimal(library.memory.bytes(digest, 32)),
    };
  }

  // Runs the engine until the job wants no more. Returns the seconds that loading graphs took.
  async #runSteps(job, place) {
    const library = this.#library;
    const { memory } = library;
    const out = place.struct(header.step);
    let loading = 0;
    for (;;) {
      library.call("ec_job_next", job, out);
      const step = header.step.read(memory, out);
      if (step.graph === 0) return loading;
      const start = performance.now();
      const session = await this.#session(header.graph.read(memory, step.graph), place);
      loading += (performance.now() - start) / 1000;
      const inputs = sequence(header.tensor, memory, step.inputs, step.input_count);
      const results = await this.#engine.run(
        session,
        inputs.map(({ name, type, rank, shape, data, bytes }) => ({
          name,
          type,
          dims: shape.slice(0, rank),
          data: memory.bytes(data, bytes).slice(),
        })),
      );
      for (const { name, data, bytes } of sequence(header.tensor, memory, step.outputs, step.output_count)) {
        if (results[name]?.length !== bytes) {
          throw new EdgecodecError({
            status: header.ENGINE_FAILED,
            message: `the engine gave ${results[name]?.length ?? "no"} bytes for '${name}', not ${bytes}`,
          });
        }
        memory.bytes(data, bytes).set(results[name]);
      }
    }
  }

  // A graph on the engine: fetched, proven and loaded when it is first needed, and kept.
  async #session({ number, file }, place) {
    const kept = this.#sessions.get(number);
    if (kept !== undefined) return kept;
    const names = [file, ...(await this.#fetchGraph(file))];
    const graph = place.struct(header.graphData);
    try {
      this.#library.call("ec_graph_open", this.#bundle, number, graph);
    } finally {
      for (const name of names) this.#files.release(this.url + name);
    }
    try {
      const { memory } = this.#library;
      const { data, size, weights, weight_count } = header.graphData.read(memory, graph);
      const session = await this.#engine.load(
        memory.bytes(data, size).slice(),
        sequence(header.weights, memory, weights, weight_count).map(({ location, data, size }) => ({
          location,
          data: memory.bytes(data, size).slice(),
        })),
      );
      this.#sessions.set(number, session);
      return session;
    } finally {
      this.#library.do("ec_graph_close", graph);
    }
  }

  // Fetches a graph and the files that it names, as far as the index lists them. Returns their names in the bundle.
  async #fetchGraph(file) {
    await this.#fetchFile(file);
    const data = this.#files.get(this.url + file);
    if (data == null) return [];
    const locations = (await this.#locations(data).catch(leaveToLibrary)) ?? [];
    const folder = file.slice(0, file.lastIndexOf("/") + 1);
    const names = [...new Set(locations)].map((location) => folder + location);
    await Promise.all(names.map((name) => this.#fetchFile(name)));
    return names;
  }

  // The files in which a graph has weights, in its own words.
  #locations(data) {
    const library = this.#library;
    return library.scope((place) => {
      const at = place.bytes(data);
      const count = place.memory(4);
      library.call("ec_core_graph_read", at, data.length, 0, 0, count);
      const found = library.memory.view.getUint32(count, true);
      const weights = place.memory(found * header.coreWeights.size);
      library.call("ec_core_graph_read", at, data.length, weights, found, count);
      return sequence(header.coreWeights, library.memory, weights, found).map(({ location }) =>
        new TextDecoder().decode(data.subarray(location.offset, location.offset + location.size)),
      );
    });
  }

  async close() {
    await this.#turn;
    const codec = this.#codec;
    this.#codec = undefined;
    if (codec === undefined) return;
    await Promise.all([...this.#sessions.values()].map((session) => session.release()));
    this.#library.do("ec_codec_close", codec);
    this.#library.do("ec_bundle_close", this.#bundle);
  }
}

// What is wrong with a file is told with its place when the library opens it for good.
function leaveToLibrary(error) {
  if (!(error instanceof EdgecodecError)) throw error;
}

const hexadecimal = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
