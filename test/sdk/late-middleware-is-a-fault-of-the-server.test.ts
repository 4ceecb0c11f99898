/** Where the body was read before it could be proven, no request passes, and the fault is told to the server. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import fastify from 'fastify';
import { Hono } from 'hono';
import { expect, test } from 'vitest';
import { didKeyResolver } from '../../src/sdk/did.ts';
import { verifyCallers as inExpress } from '../../src/sdk/express.ts';
import { verifyCallers as inFastify } from '../../src/sdk/fastify.ts';
import { verifyCallers as inHono } from '../../src/sdk/hono.ts';
import { createNonceMemory } from '../../src/sdk/nonces.ts';
import { signRequest } from '../../src/sdk/sign.ts';
import { signedFetch } from '../../src/sdk/signed-fetch.ts';
import { codeOf, newParty, ORIGIN } from './support/parties.ts';

const JSON_POST = { method: 'POST', body: '{"a":1}', headers: { 'content-type': 'application/json' } };
const options = () => ({
  resolveKey: didKeyResolver(),
  nonces: createNonceMemory({ noEarlierProcess: true }),
  origins: ORIGIN,
});

test('Express: behind a body parser', async () => {
  const { signer } = await newParty();
  const faults: unknown[] = [];
  const app = express();
  const server = createServer(app);
  const origins = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  app.use(express.json(), inExpress({ ...options(), origins }));
  app.use((_req, res) => void res.end('reached'));
  app.use((error: unknown, _req: express.Request, res: express.Response, _next: express.NextFunction) => {
    faults.push(error);
    res.status(500).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const response = await signedFetch(signer)(`${origins()}/`, JSON_POST);
  server.closeAllConnections();
  server.close();
  expect(response.status).toBe(500);
  expect(faults).toMatchObject([{ name: 'SdkError', code: 'body_consumed' }]);
});

test('Hono: behind a handler that read the body', async () => {
  const { signer } = await newParty();
  const faults: unknown[] = [];
  const app = new Hono();
  app.use(async (c, next) => {
    await c.req.text();
    await next();
  });
  app.use(inHono(options()));
  app.all('*', (c) => c.text('reached'));
  app.onError((error, c) => {
    faults.push(error);
    return c.text('', 500);
  });
  const signed = await signRequest(new Request(`${ORIGIN}/`, JSON_POST), signer);
  expect((await app.fetch(signed)).status).toBe(500);
  expect(faults).toMatchObject([{ name: 'SdkError', code: 'body_consumed' }]);
});

test('Fastify: a key that cannot be used fails the registration', async () => {
  const app = fastify();
  const keys = { broken: { kty: 'OKP', crv: 'Ed25519', x: 'AAAA' } };
  const registering = Promise.resolve(app.register(inFastify, { ...options(), keys }));
  expect(await codeOf(registering.then(() => app.ready()))).toBe('key_malformed');
});
