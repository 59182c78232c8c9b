import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { createNodeMiddleware, createProbot } from "probot";

const { privateKey } = generateKeyPairSync("rsa", {
  modulusLength: 2048,
  privateKeyEncoding: { type: "pkcs8", format: "pem" },
  publicKeyEncoding: { type: "spki", format: "pem" },
});
const probot = createProbot({
  overrides: { appId: 1, privateKey, secret: process.env.SECRET, logLevel: "fatal" },
});
const middleware = await createNodeMiddleware((app) => app.on("issues.labeled", () => {}), {
  probot,
  webhooksPath: process.env.WEBHOOK_PATH,
});
const server = createServer(middleware);
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
