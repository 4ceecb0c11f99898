import { afterEach, expect, test } from 'vitest';
import { API_KEY, type Gateway, startGateway } from './support.ts';

let gateway: Gateway;
afterEach(() => gateway.app.close());

/** Asks from an address of choice, as a trusted proxy would report it. */
function askFrom(address: string, key: string | null): Promise<Response> {
  const headers: Record<string, string> = { 'x-forwarded-for': address };
  if (key !== null) headers.authorization = `Bearer ${key}`;
  return fetch(`${gateway.origin}/v1/agents`, { headers });
}

async function guess(address: string, times: number): Promise<number[]> {
  const statuses: number[] = [];
  for (let i = 0; i < times; i++) statuses.push((await askFrom(address, `wrong-${i}`)).status);
  return statuses;
}

test('after ten wrong keys an address is refused, the right key included', async () => {
  gateway = await startGateway({ trustProxy: true });
  const statuses = await guess('203.0.113.1', 12);
  expect(statuses).toEqual([...Array<number>(10).fill(401), 429, 429]);
  const limited = await askFrom('203.0.113.1', API_KEY);
  expect(limited.status).toBe(429);
  expect(Number(limited.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(Number(limited.headers.get('retry-after'))).toBeLessThanOrEqual(60);
  expect(await limited.json()).toMatchObject({ code: 'operator_attempts_limited' });
});

test('other addresses are not affected', async () => {
  gateway = await startGateway({ trustProxy: true });
  await guess('203.0.113.1', 12);
  expect((await askFrom('203.0.113.2', API_KEY)).status).toBe(200);
});

test('strangers behind the same address cannot lock out whoever has shown the key', async () => {
  gateway = await startGateway({ trustProxy: true });
  expect((await askFrom('203.0.113.3', API_KEY)).status).toBe(200);
  const statuses = await guess('203.0.113.3', 12);
  expect(statuses.slice(-2)).toEqual([429, 429]);
  expect((await askFrom('203.0.113.3', API_KEY)).status).toBe(200);
});

test('a request without a key is no guess', async () => {
  gateway = await startGateway({ trustProxy: true });
  for (let i = 0; i < 15; i++) expect((await askFrom('203.0.113.4', null)).status).toBe(401);
  expect((await askFrom('203.0.113.4', API_KEY)).status).toBe(200);
});
