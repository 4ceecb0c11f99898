/** A server of `<framework>` on the runtime's own sockets; says its port, and ends when its input does. */
import { createNonceMemory, didKeyResolver } from 'sage-gateway/sdk';

let port = 0;
const options = {
  origins: () => `http://127.0.0.1:${port}`,
  resolveKey: didKeyResolver(),
  nonces: createNonceMemory({ noEarlierProcess: true }),
  maxBodyBytes: 100_000,
};

/** Each answers `{ did, body }`, the body as its own parser reads JSON, and gives its port. */
const FRAMEWORKS = {
  async fastify() {
    const { fastify } = await import('fastify');
    const { verifyCallers } = await import('sage-gateway/sdk/fastify');
    const app = fastify();
    await app.register(verifyCallers, options);
    app.all('/*', async (request) => ({ did: request.caller.did, body: request.body ?? null }));
    await app.listen({ port: 0, host: '127.0.0.1' });
    return app.server.address().port;
  },
  async express() {
    const { default: express } = await import('express');
    const { verifyCallers } = await import('sage-gateway/sdk/express');
    const app = express();
    app.use(verifyCallers(options), express.json());
    app.all('/*path', (req, res) => res.json({ did: req.caller.did, body: req.body ?? null }));
    const server = app.listen(0, '127.0.0.1');
    await new Promise((resolve) => server.on('listening', resolve));
    return server.address().port;
  },
  async hono() {
    const { Hono } = await import('hono');
    const { verifyCallers } = await import('sage-gateway/sdk/hono');
    const app = new Hono();
    app.use(verifyCallers(options));
    app.all('*', async (c) => {
      const text = await c.req.text();
      return c.json({ did: c.get('caller').did, body: text === '' ? null : JSON.parse(text) });
    });
    const { Bun, Deno } = globalThis;
    if (Bun !== undefined) return Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: app.fetch }).port;
    return Deno.serve({ port: 0, hostname: '127.0.0.1', onListen: () => undefined }, app.fetch).addr.port;
  },
};

port = await FRAMEWORKS[process.argv[2]]();
console.log(JSON.stringify({ port }));
process.stdin.on('end', () => process.exit(0)).resume();
