/** A Hono server on the runtime's own sockets; says its port, and ends when its input does. */
import { Hono } from 'hono';
import { createNonceMemory, didKeyResolver } from 'sage-gateway/sdk';
import { verifyCallers } from 'sage-gateway/sdk/hono';

let port = 0;
const app = new Hono();
app.use(
  verifyCallers({
    origins: () => `http://127.0.0.1:${port}`,
    resolveKey: didKeyResolver(),
    nonces: createNonceMemory({ noEarlierProcess: true }),
    maxBodyBytes: 100_000,
  }),
);
app.all('*', async (c) => c.json({ did: c.get('caller').did, body: await c.req.text() }));

const { Bun, Deno } = globalThis;
const server =
  Bun === undefined
    ? Deno.serve({ port: 0, hostname: '127.0.0.1', onListen: () => undefined }, app.fetch)
    : Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: app.fetch });
port = server.port ?? server.addr.port;
console.log(JSON.stringify({ port }));
process.stdin.on('end', () => process.exit(0)).resume();
