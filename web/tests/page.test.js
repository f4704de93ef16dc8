// The page in headless Chromium: a file is dropped, and the picture, its size and its digest are shown.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { readPng } from "./png.js";
import { serve } from "./server.js";
import { manifest, NPM, ROOT, SITE, TINY } from "./site.js";
import { largestDifference } from "./tolerance.js";

const CHROMIUM =
  process.env.CHROMIUM ?? ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
const options = {
  skip: !CHROMIUM && "no Chromium is installed",
  timeout: 120_000,
};

const [golden] = manifest(TINY).golden;
let server, browser, page;
const problems = [];

before(async () => {
  if (options.skip) return;
  const { default: puppeteer } = await import(createRequire(join(NPM, "package.json")).resolve("puppeteer-core"));
  server = await serve({ "/": SITE, "/bundle/": process.env.EDGECODEC_BUNDLE ?? TINY });
  // Root has no sandbox in a container.
  browser = await puppeteer.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"], protocolTimeout: 120_000 });
  page = await browser.newPage();
  page.on("pageerror", (error) => problems.push(String(error)));
  await page.setViewport({ width: 1000, height: 900 });
  await page.goto(server.url);
  await settled("open");
});

after(async () => {
  await browser?.close();
  server?.close();
});

const settled = (state) =>
  page.waitForFunction(
    (want) => document.documentElement.dataset.state === want && !document.documentElement.classList.contains("busy"),
    { timeout: 60_000 },
    state,
  );
const text = (id) => page.$eval(`#${id}`, (element) => element.textContent);

// As if a file had been dragged from a folder onto the page.
async function drop(name, data) {
  await page.evaluate(
    (name, base64) => {
      delete document.documentElement.dataset.state;
      const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
      const transfer = new DataTransfer();
      transfer.items.add(new File([bytes], name));
      document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
    },
    name,
    data.toString("base64"),
  );
}

const canvas = async () => {
  const [width, height, ...pixels] = await page.evaluate(() => {
    const { width, height } = document.querySelector("canvas");
    return [width, height, ...document.querySelector("canvas").getContext("2d").getImageData(0, 0, width, height).data];
  });
  return { width, height, pixels };
};

async function equalsPicture(file) {
  const expected = readPng(readFileSync(join(TINY, file)));
  const { width, height, pixels } = await canvas();
  assert.deepEqual([width, height], [expected.width, expected.height]);
  assert.ok(largestDifference(pixels, expected.pixels) <= 1);
}

test("no SharedArrayBuffer is there, and none is needed", options, async () => {
  assert.equal(await page.evaluate(() => globalThis.crossOriginIsolated), false);
});

test("a dropped picture is shown, with its golden digest", options, async () => {
  await drop("photo.edgc", readFileSync(join(TINY, golden.file)));
  await settled("decoded");
  await equalsPicture("golden/photo-alpha1.png");
  assert.equal(await text("digest"), golden.latents_sha256);
  assert.match(await text("verdict"), /^equal to the golden digest/);
  assert.match(await text("size"), /^photo.edgc, 200 × 136$/);
  assert.match(await text("rate"), /^972 bytes, 0.286 bits per pixel$/);
  assert.match(await text("times"), /engine \d+ ms/);
  if (process.env.EDGECODEC_SCREENSHOT) await page.screenshot({ path: process.env.EDGECODEC_SCREENSHOT });
});

test("another knob shows another picture of the same latents", options, async () => {
  await page.evaluate(() => delete document.documentElement.dataset.state);
  await page.select("#knobs select[name=alpha]", "0");
  await settled("decoded");
  await equalsPicture("golden/photo-alpha0.png");
  assert.equal(await text("digest"), golden.latents_sha256);
});

test("a picture that is no golden one has no golden digest", options, async () => {
  await drop("wide.edgc", readFileSync(join(ROOT, "web/tests/data/wide.edgc")));
  await settled("decoded");
  assert.match(await text("verdict"), /^equal to what was encoded/);
});

test("a hostile file is refused with the library's message, and nothing is shown", options, async () => {
  const hostile = readFileSync(join(TINY, golden.file));
  hostile[500] ^= 4;
  await drop("<img src=x onerror=alert(1)>.edgc", hostile);
  await settled("refused");
  assert.match(await text("problem"), /^<img src=x onerror=alert\(1\)>.edgc: .*(damaged|checksum|latents)/);
  assert.equal(await page.$eval("#result", (element) => element.hidden), true);
});

test("after that the golden picture is decoded at a click", options, async () => {
  await page.evaluate(() => delete document.documentElement.dataset.state);
  await page.click("#golden");
  await settled("decoded");
  await equalsPicture("golden/photo-alpha0.png");
  assert.deepEqual(problems, []);
});
