import assert from "node:assert/strict";
import { test } from "node:test";

import { insert, toc } from "../src/index.js";

test("lists headings, set in by their level", () => {
  assert.equal(
    toc("# Guide\n\n## Install\n\n## Use\n\n### From a script\n"),
    "- [Guide](#guide)\n" +
      "  - [Install](#install)\n" +
      "  - [Use](#use)\n" +
      "    - [From a script](#from-a-script)\n",
  );
});

test("the highest heading that is there is not set in", () => {
  assert.equal(toc("## Install\n\n### macOS\n"), "- [Install](#install)\n  - [macOS](#macos)\n");
});

test("headings of the same name have anchors of their own", () => {
  assert.equal(toc("# Use\n\n# Use\n"), "- [Use](#use)\n- [Use](#use-1)\n");
});

test("a text without headings has an empty table", () => {
  assert.equal(toc("Just words.\n"), "");
});

test("writes the table between the marks, however often", () => {
  const once = insert("# Guide\n\n<!-- toc -->\n<!-- /toc -->\n\n## Use\n");
  assert.equal(
    once,
    "# Guide\n\n<!-- toc -->\n\n- [Guide](#guide)\n  - [Use](#use)\n\n<!-- /toc -->\n\n## Use\n",
  );
  assert.equal(insert(once), once);
});

test("refuses to write where there are no marks", () => {
  assert.throws(() => insert("# Guide\n"), /no <!-- toc -->/);
});
