/** A knob of a bundle's decoders: `values`, ascending, are all that it was exported for. */
export interface Knob {
  readonly name: string;
  readonly help: string;
  readonly values: readonly number[];
  readonly default: number;
}

/** Integers that the file codes, the same on every machine; `shape` is channels, rows, columns. */
export interface Latent {
  readonly name: string;
  readonly shape: readonly [number, number, number];
  readonly values: Int16Array;
}

/** Seconds. parse: of the container. entropy: of the entropy model. load: of fetching, proving and loading graphs, the
 * first time that one is used. engine: in the engine. rest: of everything else. */
export interface Timings {
  readonly parse: number;
  readonly entropy: number;
  readonly load: number;
  readonly engine: number;
  readonly rest: number;
}

export interface Picture {
  /** RGBA, opaque. In a page it is an ImageData; elsewhere an object with the same three fields. */
  readonly image: ImageData;
  readonly width: number;
  readonly height: number;
  /** Of the coded file. */
  readonly bytes: number;
  readonly bitsPerPixel: number;
  readonly timings: Timings;
  /** The parts in which the picture went through the engine; height and width, in pixels, of the largest. overhead: the
   * sum of all over the picture's own size, less 1. */
  readonly tiles: {
    readonly count: number;
    readonly height: number;
    readonly width: number;
    readonly overhead: number;
  };
  readonly latents: readonly Latent[];
  /** SHA-256 of all latents as little-endian int16, one after the other: `latents_sha256` in manifest.json. */
  readonly latentsSha256: string;
  readonly metadata: { readonly icc?: Uint8Array; readonly exif?: Uint8Array; readonly xmp?: Uint8Array };
}

export interface Bundle {
  readonly url: string;
  /** Of libedgecodec. */
  readonly version: string;
  readonly family: string;
  readonly preset: string;
  /** Of the decoders. */
  readonly knobs: readonly Knob[];
  /** Memory that the library has taken, in bytes; the engine's own is not counted. */
  readonly memoryBytes: number;
  /** Decodes a coded picture (.edgc). knobs: by name; one that is left out has its default. Rejects with an
   * EdgecodecError. Several calls run one after the other. */
  decode(data: Uint8Array | ArrayBuffer, options?: { knobs?: Readonly<Record<string, number>> }): Promise<Picture>;
  /** Frees the engine's memory, after the decodes that were asked for. */
  close(): Promise<void>;
}

export interface BundleOptions {
  /** "wasm", the processor, which is the default, or "webgpu". A named engine is that engine or an error. */
  engine?: "wasm" | "webgpu";
  /** Of the decoders: "fp32", "fp16"...; the bundle's first by default. */
  precision?: string;
  /** Pixels of a picture: 2^25 by default. */
  maxPixels?: number;
  /** Bytes that one call of the engine may take beside the weights, beyond which the picture is decoded in tiles:
   * 2^30 by default. */
  maxMemory?: number;
  /** Where edgecodec.wasm is, or its bytes; beside this module by default. */
  library?: string | URL | BufferSource;
  /** The module of onnxruntime-web; without it that of the folder `ort` beside this module. */
  ort?: unknown;
  /** In place of the page's own: gives a response for the URL of a file of the bundle. */
  fetch?: (url: string) => Promise<Response>;
}

/** Opens the folder of a bundle at a URL. Rejects with an EdgecodecError where it is none or has been changed. */
export function openBundle(url: string | URL, options?: BundleOptions): Promise<Bundle>;

/** What failed, in the library's words. */
export class EdgecodecError extends Error {
  /** A number of ec_status in edgecodec.h: 31 for a damaged picture, 41 for one of another model... */
  readonly status: number;
  /** The file, knob or tensor that it happened in, or "" for the coded picture. */
  readonly where: string;
  /** What to do about it, or "". */
  readonly hint: string;
  /** Byte in the data, or -1. */
  readonly offset: number;
  /** All of it in one line. of: the caller's name for the coded picture. */
  describe(of?: string): string;
}
