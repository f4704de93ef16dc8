// The golden picture of a bundle, and the digest of its latents that the exporting machine wrote into manifest.json.

export class Golden {
  #pictures;

  // null where the bundle comes without.
  static async fetch(bundleUrl) {
    try {
      const manifest = await (await found(new URL("manifest.json", bundleUrl))).json();
      const pictures = await Promise.all(
        manifest.golden.map(async ({ file, latents_sha256 }) => ({
          name: file,
          data: new Uint8Array(await (await found(new URL(file, bundleUrl))).arrayBuffer()),
          digest: latents_sha256,
        })),
      );
      return pictures.length > 0 ? new Golden(pictures) : null;
    } catch {
      return null;
    }
  }

  constructor(pictures) {
    this.#pictures = pictures;
  }

  get picture() {
    return this.#pictures[0];
  }

  // Of these very bytes; undefined where they are no golden picture's.
  digestOf(data) {
    const same = (other) => other.length === data.length && other.every((byte, i) => byte === data[i]);
    return this.#pictures.find((picture) => same(picture.data))?.digest;
  }
}

async function found(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: HTTP status ${response.status}`);
  return response;
}
