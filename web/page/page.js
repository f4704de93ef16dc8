// The demonstration: a coded picture that is dropped here is decoded with the bundle that the page's address names
// (?bundle=URL; the folder `bundle` beside the page without it), and shown with what is known of it.
import { EdgecodecError, openBundle } from "./edgecodec/index.js";
import { Golden } from "./golden.js";

const element = (id) => document.getElementById(id);
const bundleUrl = new URL(new URLSearchParams(location.search).get("bundle") ?? "bundle/", location.href);

let bundle; // of the engine that is chosen; a promise
let golden; // Golden, or null where the bundle has none
let shown; // {name, data} of the picture that is shown, to be decoded again when a choice changes

function open() {
  bundle?.then(
    (old) => old.close(),
    () => {},
  );
  bundle = openBundle(bundleUrl, { engine: element("engine").value });
  return working(async () => {
    const { family, preset, knobs, version } = await bundle;
    element("bundle").textContent = `${family} ${preset} · libedgecodec ${version}`;
    showKnobs(knobs);
    golden ??= await Golden.fetch((await bundle).url);
    element("golden").hidden = golden === null;
  });
}

function showKnobs(knobs) {
  if (element("knobs").childElementCount > 0) return;
  for (const knob of knobs.filter(({ values }) => values.length > 1)) {
    const label = document.createElement("label");
    const select = document.createElement("select");
    select.name = knob.name;
    select.append(...knob.values.map((value) => new Option(value, value, false, value === knob.default)));
    select.addEventListener("change", decode);
    label.title = knob.help;
    label.append(knob.name, select);
    element("knobs").append(label);
  }
}

// A quality is of the file, where decoders differ in it, and no choice of the viewer's.
const chosenKnobs = () =>
  Object.fromEntries([...element("knobs").querySelectorAll("select")].map(({ name, value }) => [name, Number(value)]));

const decode = () =>
  shown &&
  working(async () => {
    const picture = await (await bundle).decode(shown.data, { knobs: chosenKnobs() });
    show(picture);
  });

function show(picture) {
  const canvas = element("canvas");
  canvas.width = picture.width;
  canvas.height = picture.height;
  canvas.getContext("2d").putImageData(picture.image, 0, 0);
  element("size").textContent = `${shown.name}, ${picture.width} × ${picture.height}`;
  element("rate").textContent =
    `${picture.bytes.toLocaleString("en")} bytes, ${picture.bitsPerPixel.toFixed(3)} bits per pixel`;
  const { parse, entropy, load, engine, rest } = picture.timings;
  const words = (seconds) => `${(1000 * seconds).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
  element("times").textContent =
    `${words(parse + entropy + engine + rest)}: entropy model ${words(entropy)}, engine ${words(engine)}` +
    (load > 0.001 ? `; before that, once, loading the decoder ${words(load)}` : "");
  element("digest").textContent = picture.latentsSha256;
  const promised = golden?.digestOf(shown.data);
  const isEqual = promised === picture.latentsSha256;
  element("verdict").className = isEqual ? "equal" : "";
  element("verdict").textContent = isEqual
    ? "equal to the golden digest, which the machine that exported this bundle wrote down"
    : promised !== undefined
      ? `the golden digest is another: ${promised}`
      : "equal to what was encoded: the digest that the file carries is right";
  element("result").hidden = false;
  document.documentElement.dataset.state = "decoded";
}

async function working(body) {
  document.documentElement.classList.add("busy");
  element("problem").hidden = true;
  try {
    await body();
  } catch (error) {
    const isOurs = error instanceof EdgecodecError;
    element("problem").textContent = isOurs ? error.describe(shown?.name) : String(error);
    element("problem").hidden = false;
    element("result").hidden = true;
    document.documentElement.dataset.state = "refused";
  }
  document.documentElement.classList.remove("busy");
}

async function take(file) {
  if (file === undefined) return;
  shown = { name: file.name, data: new Uint8Array(await file.arrayBuffer()) };
  await decode();
}

element("file").addEventListener("change", ({ target }) => take(target.files[0]));
element("golden").addEventListener("click", () => {
  shown = golden.picture;
  decode();
});
element("engine").addEventListener("change", () => open().then(decode));
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragged");
});
addEventListener("dragleave", () => document.body.classList.remove("dragged"));
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragged");
  take(event.dataTransfer.files[0]);
});
await open();
document.documentElement.dataset.state ??= "open";
