// libedgecodec as a WebAssembly module: its memory, what it imports, and its C functions with their errors.
import { EdgecodecError } from "./errors.js";
import * as header from "./header.js";

// The module's memory. It moves when it grows, so a view is used at once and never kept.
class Memory {
  #memory;

  constructor(memory) {
    this.#memory = memory;
  }

  get view() {
    return new DataView(this.#memory.buffer);
  }

  get size() {
    return this.#memory.buffer.byteLength;
  }

  bytes(at, size) {
    return new Uint8Array(this.#memory.buffer, at >>> 0, size >>> 0);
  }

  // The text from `at` to the next zero; "" at 0.
  text(at) {
    if (at === 0) return "";
    const all = new Uint8Array(this.#memory.buffer);
    return new TextDecoder().decode(all.subarray(at, all.indexOf(0, at)));
  }
}

const compiled = new Map(); // by address, so that a page fetches and compiles it once

// source: a URL, or the bytes of the module.
function compile(source) {
  if (typeof source !== "string" && !(source instanceof URL)) return WebAssembly.compile(source);
  const address = String(source);
  if (!compiled.has(address)) {
    const module = fetch(address).then(async (response) => {
      if (!response.ok) throw new Error(`${address}: HTTP status ${response.status}`);
      // Not compileStreaming, which refuses what a server does not call application/wasm.
      return WebAssembly.compile(await response.arrayBuffer());
    });
    module.catch(() => compiled.delete(address));
    compiled.set(address, module);
  }
  return compiled.get(address);
}

// The system calls that the C library may make: there is a clock, and nothing else.
const systemCalls = (memory) => ({
  clock_time_get: (_clock, _precision, out) => {
    memory().view.setBigUint64(out, BigInt(Math.round(performance.now() * 1e6)), true);
    return 0;
  },
  proc_exit: (status) => {
    throw new WebAssembly.RuntimeError(`exit with status ${status}`);
  },
});

const notThere = () => 44; // "no such file", in the numbers of WASI

export class Library {
  #functions;
  #error;

  // files: PageFiles, for bundles.
  static async load(source, files) {
    const module = await compile(source);
    let memory;
    const system = systemCalls(() => memory);
    const imports = { edgecodec: files.imports(() => memory) };
    for (const { module: from, name } of WebAssembly.Module.imports(module)) {
      imports[from] ??= {};
      imports[from][name] ??= system[name] ?? notThere;
    }
    const { exports } = await WebAssembly.instantiate(module, imports);
    memory = new Memory(exports.memory);
    exports._initialize();
    return new Library(exports, memory);
  }

  constructor(functions, memory) {
    this.#functions = functions;
    this.memory = memory;
    this.#error = this.allocate(header.error.size);
  }

  get version() {
    return this.memory.text(this.#functions.ec_version());
  }

  allocate(size) {
    const at = this.#functions.malloc(Math.max(size, 1)) >>> 0;
    if (at === 0) throw new EdgecodecError({ status: 51, message: `there is no memory for ${size} bytes` });
    return at;
  }

  free(at) {
    this.#functions.free(at);
  }

  // Runs `body` with functions that place things in the module's memory, which are freed when it has ended, whether it
  // is asynchronous or not.
  async scope(body) {
    const taken = [];
    const take = (size) => {
      taken.push(this.allocate(size));
      return taken.at(-1);
    };
    const bytes = (data) => {
      const at = take(data.length);
      this.memory.bytes(at, data.length).set(data);
      return at;
    };
    const place = {
      bytes,
      memory: take,
      text: (value) => bytes(new TextEncoder().encode(`${value}\0`)),
      struct: (kind, values) => {
        const at = take(kind.size);
        kind.write(this.memory, at, values);
        return at;
      },
      // Structs one after the other.
      structs: (kind, list) => {
        const at = take(kind.size * list.length);
        list.forEach((values, i) => kind.write(this.memory, at + i * kind.size, values));
        return at;
      },
    };
    try {
      return await body(place);
    } finally {
      for (const at of taken.reverse()) this.free(at);
    }
  }

  // A function that returns a status and takes an ec_error last. Throws EdgecodecError.
  call(name, ...values) {
    header.error.write(this.memory, this.#error);
    if (this.#run(name, [...values, this.#error]) !== header.OK) {
      throw new EdgecodecError(header.error.read(this.memory, this.#error));
    }
  }

  #run(name, values) {
    try {
      return this.#functions[name](...values);
    } catch (cause) {
      // A trap, which nothing in the library makes on purpose.
      const hint = "this is a bug: please report it";
      throw new EdgecodecError(
        { status: header.INTERNAL, message: `the library stopped: ${cause.message}`, hint },
        { cause },
      );
    }
  }

  // The same, for a handle: the function writes it to the place that is given before the error.
  open(name, ...values) {
    const place = this.allocate(4);
    try {
      this.call(name, ...values, place);
      return this.memory.view.getUint32(place, true);
    } finally {
      this.free(place);
    }
  }

  // A function that cannot fail.
  do(name, ...values) {
    return this.#run(name, values);
  }
}
