// Prints the JSON Schema of each type of Slack's packages that is named on the command line.
const path = require('node:path');
const { createGenerator } = require('ts-json-schema-generator');

const generator = createGenerator({
  path: path.join(__dirname, 'slack.ts'),
  tsconfig: path.join(__dirname, 'tsconfig.json'),
  skipTypeCheck: true,
  expose: 'export',
  additionalProperties: false,
  jsDoc: 'none',
});
const schemas = process.argv.slice(2).map((name) => [name, generator.createSchema(name)]);
process.stdout.write(JSON.stringify(Object.fromEntries(schemas)));
