export { headings } from "./headings.js";
export { insert, toc } from "./toc.js";
