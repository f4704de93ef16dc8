// How far RGBA pixels are from RGB ones, in levels of 255.
export function largestDifference(rgba, rgb) {
  let largest = 0;
  for (let i = 0; i < rgb.length; ++i)
    largest = Math.max(largest, Math.abs(rgba[4 * Math.trunc(i / 3) + (i % 3)] - rgb[i]));
  return largest;
}
