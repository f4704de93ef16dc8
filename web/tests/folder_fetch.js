// `fetch` for the files of a folder, in place of a server. changed: contents by name, or null for a file that is
// missing.
import { readFile } from "node:fs/promises";

export const ORIGIN = "https://example.org/bundle/";

export function folderFetch(folder, changed = {}) {
  const asked = [];
  const fetch = async (url) => {
    const name = decodeURIComponent(url.slice(ORIGIN.length));
    asked.push(name);
    if (name in changed) {
      return changed[name] === null ? new Response(null, { status: 404 }) : new Response(changed[name]);
    }
    try {
      return new Response(await readFile(`${folder}/${name}`));
    } catch {
      return new Response(null, { status: 404 });
    }
  };
  return Object.assign(fetch, { asked });
}
