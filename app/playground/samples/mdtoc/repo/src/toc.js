import { headings } from "./headings.js";
import { Slugs } from "./slugs.js";

const PLACE = /(<!-- toc -->)[^]*?(<!-- \/toc -->)/;

/** The table of contents as a Markdown list, empty for a text without headings. */
export function toc(markdown) {
  const found = headings(markdown);
  const top = Math.min(...found.map((heading) => heading.level));
  const slugs = new Slugs();
  return found
    .map(({ level, text }) => {
      const indent = "  ".repeat(level - top);
      return `${indent}- [${text}](#${slugs.next(text)})\n`;
    })
    .join("");
}

/** The text with its table between the marks. Throws when it has no marks. */
export function insert(markdown) {
  if (!PLACE.test(markdown)) {
    throw new Error("there is no <!-- toc --> to write to");
  }
  return markdown.replace(PLACE, (_, begin, end) => `${begin}\n\n${toc(markdown)}\n${end}`);
}
