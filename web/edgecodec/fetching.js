// Files over a network that is not trusted: never more bytes than were asked for.

// The contents, or null where the server has no such file or cannot be reached. Of a longer file, limit + 1 bytes:
// enough to see that it is too long.
export async function fetchAtMost(fetch, url, limit) {
  let response;
  try {
    response = await fetch(url);
  } catch {
    return null;
  }
  if (!response.ok || response.body === null) return null;
  const parts = [];
  let size = 0;
  const reader = response.body.getReader();
  while (size <= limit) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    size += value.length;
  }
  if (size > limit) await reader.cancel();
  const bytes = new Uint8Array(Math.min(size, limit + 1));
  let end = 0;
  for (const part of parts) {
    bytes.set(part.subarray(0, bytes.length - end), end);
    end += Math.min(part.length, bytes.length - end);
  }
  return bytes;
}
