// The pixels of a PNG of 8-bit colours without interlacing, as Pillow writes the golden pictures.
import { inflateSync } from "node:zlib";

export function readPng(file) {
  const width = file.readUInt32BE(16);
  const height = file.readUInt32BE(20);
  if (file[24] !== 8 || file[25] !== 2 || file[28] !== 0) throw new Error("not 8-bit RGB without interlacing");
  const parts = [];
  for (let at = 8; at < file.length; at += 12 + file.readUInt32BE(at)) {
    if (file.toString("latin1", at + 4, at + 8) === "IDAT")
      parts.push(file.subarray(at + 8, at + 8 + file.readUInt32BE(at)));
  }
  const coded = inflateSync(Buffer.concat(parts));
  const row = 3 * width;
  const pixels = new Uint8Array(row * height);
  for (let y = 0; y < height; ++y) {
    const filter = coded[y * (row + 1)];
    for (let x = 0; x < row; ++x) {
      const left = x >= 3 ? pixels[y * row + x - 3] : 0;
      const above = y > 0 ? pixels[(y - 1) * row + x] : 0;
      const corner = x >= 3 && y > 0 ? pixels[(y - 1) * row + x - 3] : 0;
      const predicted = [0, left, above, (left + above) >> 1, paeth(left, above, corner)][filter];
      pixels[y * row + x] = coded[y * (row + 1) + 1 + x] + predicted;
    }
  }
  return { width, height, pixels };
}

function paeth(left, above, corner) {
  const estimate = left + above - corner;
  const distances = [left, above, corner].map((value) => Math.abs(estimate - value));
  return [left, above, corner][distances.indexOf(Math.min(...distances))];
}
