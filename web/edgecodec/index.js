// edgecodec in a page: decodes coded pictures (.edgc) with a bundle that is fetched by its URL. index.d.ts documents
// it.
export { openBundle } from "./bundle.js";
export { EdgecodecError } from "./errors.js";
