import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { type CircuitView, createCircuits } from '../../../src/gateway/breaker/circuit.ts';
import { listen, startGateway, until } from '../proxy/gateway.ts';

const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function stop(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}

function watchChanges(): CircuitView[] {
  const changes: CircuitView[] = [];
  const listener = (message: unknown): void => {
    changes.push(message as CircuitView);
  };
  subscribe('sage:circuit', listener);
  closers.push(() => {
    unsubscribe('sage:circuit', listener);
  });
  return changes;
}

test('an upstream dies: its circuit opens, refuses at once, half-opens for one probe and closes', async () => {
  const changes = watchChanges();
  let server = createServer((_req, res) => res.end('ok'));
  const url = await listen(server);
  const { port } = server.address() as AddressInfo;
  const gateway = await startGateway({
    upstreams: [url],
    retries: 0,
    circuit: { requestsMin: 4, resetMs: 300, windowMs: 5_000 },
  });
  closers.push(() => gateway.close());
  const call = async (): Promise<Response> => fetch(`${gateway.url}/agents/echo/`);

  expect((await call()).status).toBe(200);
  await stop(server);
  const statuses: number[] = [];
  while (!statuses.includes(503) && statuses.length < 20) statuses.push((await call()).status);
  // One success and four failures: above half of at least four.
  expect(statuses).toEqual([502, 502, 502, 503]);

  const refused = await call();
  expect(refused.status).toBe(503);
  expect(((await refused.json()) as { code: string }).code).toBe('circuit_open');
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
  expect(gateway.records.at(-1)?.attempts).toBe(0);
  expect(gateway.app.circuits.list()).toMatchObject([{ agentId: 'echo', instance: url, state: 'open' }]);

  // The first probe still fails, and opens it again.
  await until(() => gateway.app.circuits.list()[0]?.state === 'half-open', 'half-open');
  expect((await call()).status).toBe(502);
  expect(gateway.app.circuits.list()[0]?.state).toBe('open');

  let held: (() => void) | undefined;
  let probes = 0;
  server = createServer((_req, res) => {
    probes++;
    held = () => res.end('healed');
  });
  server.listen(port, '127.0.0.1');
  closers.push(() => stop(server));
  await until(() => gateway.app.circuits.list()[0]?.state === 'half-open', 'half-open again');
  const probe = call();
  await until(() => held !== undefined, 'the probe arrived');
  const others = await Promise.all([call(), call(), call()]);
  expect(others.map(({ status }) => status)).toEqual([503, 503, 503]);
  held?.();
  expect((await probe).status).toBe(200);
  expect(probes).toBe(1);
  await until(() => gateway.app.circuits.list()[0]?.state === 'closed', 'closed');
  expect(changes.map(({ state }) => state)).toEqual(['open', 'half-open', 'open', 'half-open', 'closed']);
});

test('a probe whose caller went away is taken over by the next request', async () => {
  const circuits = createCircuits(
    { failurePercentMax: 50, requestsMin: 1, windowMs: 1_000, resetMs: 20 },
    () => 0,
  );
  closers.push(() => circuits.shutdown());
  const circuit = circuits.open('echo', 'http://a');
  circuit.fail(circuit.enter(), new Error('down'));
  await until(() => circuit.state === 'open', 'open');
  expect(circuit.enter()).toBe('refused');
  await until(() => circuit.state === 'half-open', 'half-open');
  const first = circuit.enter();
  expect(first).toBe('probe');
  expect(circuit.permits()).toBe(false);
  circuit.release(first);
  expect(circuit.permits()).toBe(true);
  const second = circuit.enter();
  expect(second).toBe('probe');
  circuit.succeed(second);
  await until(() => circuit.state === 'closed', 'closed');
});

test('an operator closes it at once, and the failures that opened it count no more', async () => {
  const changes = watchChanges();
  const circuits = createCircuits(
    { failurePercentMax: 50, requestsMin: 3, windowMs: 60_000, resetMs: 60_000 },
    () => 0,
  );
  closers.push(() => circuits.shutdown());
  const circuit = circuits.open('echo', 'http://a');
  for (let i = 0; i < 3; i++) circuit.fail(circuit.enter(), new Error('down'));
  await until(() => circuit.state === 'open', 'open');
  expect(circuits.reset('echo', 'http://b')).toBe(false);
  expect(circuit.state).toBe('open');
  expect(circuits.reset('echo', 'http://a')).toBe(true);
  expect(circuits.list()).toMatchObject([{ state: 'closed' }]);
  for (let i = 0; i < 2; i++) circuit.fail(circuit.enter(), new Error('down'));
  await new Promise((resolve) => setImmediate(resolve));
  expect(circuit.state).toBe('closed');
  circuit.fail(circuit.enter(), new Error('down'));
  await until(() => circuit.state === 'open', 'open anew');
  expect(changes.map(({ state }) => state)).toEqual(['open', 'closed', 'open']);
});

test('closed while its probe is under way, it takes no notice of what the probe says', async () => {
  const circuits = createCircuits(
    { failurePercentMax: 50, requestsMin: 1, windowMs: 1_000, resetMs: 20 },
    () => 0,
  );
  closers.push(() => circuits.shutdown());
  const circuit = circuits.open('echo', 'http://a');
  circuit.fail(circuit.enter(), new Error('down'));
  await until(() => circuit.state === 'half-open', 'half-open');
  const probe = circuit.enter();
  circuits.reset('echo', 'http://a');
  circuit.fail(probe, new Error('down'));
  await new Promise((resolve) => setImmediate(resolve));
  expect(circuit.state).toBe('closed');
});

test('below the share, or too few, failures do not open it', async () => {
  const circuits = createCircuits(
    { failurePercentMax: 50, requestsMin: 10, windowMs: 60_000, resetMs: 20 },
    () => 0,
  );
  closers.push(() => circuits.shutdown());
  const few = circuits.open('echo', 'http://few');
  for (let i = 0; i < 9; i++) few.fail(few.enter(), new Error('down'));
  const shared = circuits.open('echo', 'http://shared');
  for (let i = 0; i < 30; i++) shared.succeed(shared.enter());
  for (let i = 0; i < 29; i++) shared.fail(shared.enter(), new Error('down'));
  const neutral = circuits.open('echo', 'http://neutral');
  for (let i = 0; i < 50; i++) neutral.release(neutral.enter());
  await new Promise((resolve) => setImmediate(resolve));
  expect(circuits.list().map(({ state }) => state)).toEqual(['closed', 'closed', 'closed']);
  few.fail(few.enter(), new Error('down'));
  await until(() => few.state === 'open', 'open');
});

test.each([
  [500, 'closed'],
  [404, 'closed'],
  [429, 'closed'],
  [502, 'open'],
  [503, 'open'],
  [504, 'open'],
] as const)('answers of %i leave the circuit %s', async (status, state) => {
  const server = createServer((_req, res) => res.writeHead(status).end());
  const url = await listen(server);
  closers.push(() => stop(server));
  const gateway = await startGateway({ upstreams: [url], circuit: { requestsMin: 2, resetMs: 60_000 } });
  closers.push(() => gateway.close());
  for (let i = 0; i < 3; i++) await (await fetch(`${gateway.url}/agents/echo/`)).arrayBuffer();
  expect(gateway.app.circuits.list()[0]?.state).toBe(state);
});
