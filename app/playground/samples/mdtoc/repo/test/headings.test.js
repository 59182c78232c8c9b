import assert from "node:assert/strict";
import { test } from "node:test";

import { headings } from "../src/index.js";

const texts = (markdown) => headings(markdown).map((heading) => heading.text);

test("finds headings of every level", () => {
  assert.deepEqual(headings("# One\n\n### Three\n\n###### Six ##\n"), [
    { level: 1, text: "One" },
    { level: 3, text: "Three" },
    { level: 6, text: "Six" },
  ]);
});

test("finds underlined headings", () => {
  assert.deepEqual(headings("One\n===\n\nTwo\n---\n"), [
    { level: 1, text: "One" },
    { level: 2, text: "Two" },
  ]);
});

test("a line between paragraphs is no heading", () => {
  assert.deepEqual(texts("One.\n\n---\n\nTwo.\n"), []);
});

test("what stands in a code block is no heading", () => {
  assert.deepEqual(texts("```sh\n# a comment\n```\n\n# Real\n"), ["Real"]);
});

test("links and emphasis are left out", () => {
  assert.deepEqual(texts("# The **new** [API](https://example.com)\n"), ["The new API"]);
});
