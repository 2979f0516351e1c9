// The certified OpenID provider of npm's `oidc-provider`, as a company runs it: people, clients, keys. Its own pages for signing in are used.
//
// Started with one argument, JSON: {port, redirectUris, clients: [client metadata]}. Prints its issuer when it listens; ends with its standard input.
// What a test does to it: POST /test/rotate-keys, POST /test/clock {"offset_s": -7200}.
import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { Provider } from "oidc-provider";

const PEOPLE = {
  ada: { email: "ada@example.org", email_verified: true, name: "Ada Lovelace" },
  eve: { email: "owner@localhost", email_verified: false, name: "Eve" },
};
const KINDS = { RS256: ["rsa", { modulusLength: 2048 }], ES256: ["ec", { namedCurve: "P-256" }], EdDSA: ["ed25519", {}] };
const setup = JSON.parse(process.argv[2]);
const server = createServer();
server.listen(setup.port, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  let generation = 0;
  let handle = handlerOf(issuer, ++generation);
  server.on("request", async (request, response) => {
    if (!request.url.startsWith("/test/")) return handle(request, response);
    if (request.url === "/test/rotate-keys") handle = handlerOf(issuer, ++generation);
    if (request.url === "/test/clock") setClock(JSON.parse(await bodyOf(request)).offset_s);
    response.writeHead(204).end();
  });
  process.stdout.write(`${issuer}\n`);
});
process.stdin.on("end", () => process.exit(0)).resume();

/** What it keeps outlives its keys: the library's memory is the process's. */
function handlerOf(issuer, generation) {
  const provider = new Provider(issuer, {
    clients: setup.clients.map((client) => ({ redirect_uris: setup.redirectUris, ...client })),
    jwks: { keys: Object.entries(KINDS).map(([alg, kind]) => newKey(alg, kind, generation)) },
    cookies: { keys: ["not a secret: a test's"] },
    pkce: { required: () => true },
    claims: { email: ["email", "email_verified"], profile: ["name"] },
    findAccount: (_context, id) => PEOPLE[id] && { accountId: id, claims: () => ({ sub: id, ...PEOPLE[id] }) },
  });
  return provider.callback();
}

function newKey(alg, [type, options], generation) {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: "jwk" }), alg, use: "sig", kid: `${alg}-${generation}` };
}

function setClock(offsetSeconds) {
  const real = performance.timeOrigin;
  Date.now = () => Math.round(real + performance.now() + offsetSeconds * 1000);
}

async function bodyOf(request) {
  let text = "";
  for await (const piece of request) text += piece;
  return text;
}
