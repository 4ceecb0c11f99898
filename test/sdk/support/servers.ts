/** A small server of one's own in each framework, its callers verified by the SDK's middleware. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import express from 'express';
import fastify from 'fastify';
import { Hono } from 'hono';
import { verifyCallers as verifyInExpress } from '../../../src/sdk/express.ts';
import { verifyCallers as verifyInFastify } from '../../../src/sdk/fastify.ts';
import { type CallerEnv, verifyCallers as verifyInHono } from '../../../src/sdk/hono.ts';
import type { MiddlewareOptions } from '../../../src/sdk/middleware.ts';

export interface OwnServer extends AsyncDisposable {
  readonly origin: string;
}

type Options = Omit<MiddlewareOptions, 'origins'>;
/** Answers `{ did, body }` at every path, the body as the framework's own parser reads JSON. */
type Start = (options: Options) => Promise<OwnServer>;

function originOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function listening(server: Server): Promise<OwnServer> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: originOf(server),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const startFastify: Start = async (options) => {
  const app = fastify({ forceCloseConnections: true });
  await app.register(verifyInFastify, { ...options, origins: () => originOf(app.server) });
  app.all('/*', async (request) => ({ did: request.caller?.did, body: request.body ?? null }));
  await app.listen({ port: 0, host: '127.0.0.1' });
  return { origin: originOf(app.server), [Symbol.asyncDispose]: () => app.close() };
};

const startExpress: Start = async (options) => {
  const app = express();
  const server = createServer(app);
  const router = express.Router();
  router.use(
    verifyInExpress({ ...options, origins: () => originOf(server) }),
    express.json({ limit: '1mb' }),
  );
  router.all('/*path', (req, res) => {
    res.json({ did: req.caller?.did, body: req.body ?? null });
  });
  // Below a prefix too, where Express shortens `url`.
  app.use('/mounted', router);
  app.use(router);
  return listening(server);
};

/** As adapters do it: Hono itself speaks of `Request` and `Response` only. */
async function serve(app: Hono<CallerEnv>, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const headers = new Headers();
  for (let at = 0; at < req.rawHeaders.length; at += 2)
    headers.append(req.rawHeaders[at] ?? '', req.rawHeaders[at + 1] ?? '');
  const bare = req.method === 'GET' || req.method === 'HEAD';
  const body = bare ? null : (Readable.toWeb(req) as ReadableStream<Uint8Array>);
  const init = { method: req.method ?? '', headers, body, duplex: 'half' };
  const response = await app.fetch(new Request(`http://${req.headers.host}${req.url}`, init as RequestInit));
  res.writeHead(response.status, { ...Object.fromEntries(response.headers), connection: 'close' });
  res.end(await response.text());
}

const startHono: Start = async (options) => {
  const app = new Hono<CallerEnv>();
  const server = createServer((req, res) => {
    serve(app, req, res).catch(() => res.destroy());
  });
  app.use(verifyInHono({ ...options, origins: () => originOf(server) }));
  app.all('*', async (c) => {
    const text = await c.req.text();
    return c.json({ did: c.get('caller').did, body: text === '' ? null : JSON.parse(text) });
  });
  return listening(server);
};

export const SERVERS: readonly (readonly [name: string, start: Start])[] = [
  ['fastify', startFastify],
  ['express', startExpress],
  ['hono', startHono],
];
