#!/usr/bin/env node
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";

import { insert, toc } from "../src/index.js";

const USAGE = "usage: mdtoc [--write] FILE";

function main(args) {
  const { values, positionals } = read(args);
  if (positionals.length !== 1) fail(USAGE);

  const [file] = positionals;
  const markdown = readFileSync(file, "utf8");
  if (values.write) {
    writeFileSync(file, insert(markdown));
  } else {
    process.stdout.write(toc(markdown));
  }
}

function read(args) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: { write: { type: "boolean", short: "w" } },
    });
  } catch (error) {
    return fail(`${error.message}\n${USAGE}`);
  }
}

function fail(words) {
  console.error(words);
  process.exit(2);
}

main(process.argv.slice(2));
