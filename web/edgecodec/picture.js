// What a decode gives a page.
import * as header from "./header.js";

// picture: the struct ec_picture, whose three channels lie in the module's memory. file: where `data` lies there.
export function toPicture(memory, picture, { file, data, latents, load }) {
  const { width, height, timings } = picture;
  const pixels = withOpacity(memory.bytes(picture.pixels, 3 * width * height), width * height);
  return {
    image: typeof ImageData === "undefined" ? { data: pixels, width, height } : new ImageData(pixels, width, height),
    width,
    height,
    bytes: data.length,
    bitsPerPixel: (8 * data.length) / (width * height),
    // `engine` has the loading in it, in the library's count.
    timings: { ...timings, engine: timings.engine - load, load },
    tiles: picture.tiles,
    latents: latents.values,
    latentsSha256: latents.sha256,
    metadata: Object.fromEntries(
      picture.sections
        .slice(0, picture.section_count)
        .map(({ tag, data: at, size }) => [header.SECTIONS[tag], data.slice(at - file, at - file + size)]),
    ),
  };
}

// Red, green and blue to what a canvas takes.
function withOpacity(rgb, count) {
  const rgba = new Uint8ClampedArray(4 * count);
  for (let i = 0, from = 0, to = 0; i < count; ++i, from += 3, to += 4) {
    rgba[to] = rgb[from];
    rgba[to + 1] = rgb[from + 1];
    rgba[to + 2] = rgb[from + 2];
    rgba[to + 3] = 255;
  }
  return rgba;
}
