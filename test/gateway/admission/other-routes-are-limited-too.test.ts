import Fastify, { type FastifyInstance } from 'fastify';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { admissionPlugin } from '../../../src/gateway/admission/plugin.ts';
import { Refused } from '../../../src/gateway/refusal.ts';
import { alone, NOW } from './support.ts';

let app: FastifyInstance;
let origin: string;

beforeEach(async () => {
  const { limits, blocks } = alone();
  app = Fastify();
  // What the listener does with a refusal, in short.
  app.setErrorHandler((error, _request, reply) => {
    if (!(error instanceof Refused)) throw error;
    for (let at = 0; at < error.headers.length; at += 2)
      reply.header(error.headers[at] ?? '', error.headers[at + 1]);
    return reply.code(error.kind.status).send({ code: error.kind.code });
  });
  await app.register(admissionPlugin, { limits, blocks, newCallersPerMinute: 300, now: () => NOW });
  app.get('/plain', () => 'served');
  app.get('/few', { config: { rateLimit: { max: 2, timeWindow: 60_000 } } }, () => 'served');
  app.get('/free', { config: { rateLimit: false } }, () => 'served');
  app.get('/agents/:id/*', () => 'served');
  origin = await app.listen({ port: 0, host: '127.0.0.1' });
});
afterEach(() => app.close());

async function statuses(path: string, calls: number): Promise<number[]> {
  const seen: number[] = [];
  for (let call = 0; call < calls; call += 1) {
    const response = await fetch(origin + path);
    await response.text();
    seen.push(response.status);
  }
  return seen;
}

test('a route with a limit of its own refuses beyond it, with our fields and none of the old drafts', async () => {
  expect(await statuses('/few', 2)).toEqual([200, 200]);
  const response = await fetch(`${origin}/few`);
  expect(response.status).toBe(429);
  expect(await response.json()).toEqual({ code: 'address_rate_limited' });
  expect(response.headers.get('retry-after')).toBe('30');
  expect(response.headers.get('ratelimit-policy')).toBe('"per-route";q=2;w=60');
  expect(response.headers.get('ratelimit')).toBe('"per-route";r=0;t=30');
  expect(response.headers.get('x-ratelimit-limit')).toBeNull();
});

test('a route that says nothing is limited all the same', async () => {
  const seen = await statuses('/plain', 601);
  expect(seen.slice(0, 600).every((status) => status === 200)).toBe(true);
  expect(seen[600]).toBe(429);
  expect(await statuses('/few', 1)).toEqual([200]);
});

test('the path of agents and a route that declines are left to themselves', async () => {
  const seen = [...(await statuses('/agents/a/x', 601)), ...(await statuses('/free', 1))];
  expect(seen.every((status) => status === 200)).toBe(true);
});
