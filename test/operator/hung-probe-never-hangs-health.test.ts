import { once } from 'node:events';
import { afterEach, expect, test, vi } from 'vitest';
import { createHealth, type Health, type Probe } from '../../src/operator/telemetry/health.ts';
import { systemProbes } from '../../src/operator/telemetry/probes.ts';
import { type Gateway, startGateway } from './support.ts';

let gateway: Gateway | null = null;
let health: Health;
afterEach(async () => {
  if (gateway === null) health.close();
  else await gateway.app.close();
  gateway = null;
});

function probe(changes: Partial<Probe> & Pick<Probe, 'name' | 'check'>): Probe {
  return { componentType: 'component', critical: false, intervalMs: 5, deadlineMs: 30, ...changes };
}

const create = (probes: Probe[]): Health => {
  health = createHealth({ probes, now: () => Date.now(), version: '0.1.0', releaseId: 'abc123' });
  health.configured();
  return health;
};

test('a hung check is aborted at its deadline and shown as failed, with its age', async () => {
  let aborted: Promise<unknown> = Promise.resolve();
  let checks = 0;
  create([
    probe({
      name: 'chain:head',
      critical: true,
      check: (signal) => {
        checks++;
        if (checks === 1) aborted = once(signal, 'abort');
        return new Promise(() => undefined);
      },
    }),
    probe({ name: 'redis:latency', componentType: 'datastore', check: () => ({ status: 'pass' }) }),
  ]);
  gateway = await startGateway({ health });
  await aborted;
  await vi.waitFor(() => expect(health.snapshot().checks['chain:head']?.[0]?.output).toMatch(/no answer/));
  const response = await gateway.ask('/health/detailed');
  expect(response.status).toBe(503);
  expect(response.headers.get('content-type')).toMatch(/^application\/health\+json/);
  const body = (await response.json()) as { checks: Record<string, Record<string, unknown>[]> };
  expect(body).toMatchObject({
    status: 'fail',
    version: '0.1.0',
    releaseId: 'abc123',
    checks: {
      'chain:head': [{ status: 'fail', critical: true, componentType: 'component' }],
      'redis:latency': [{ status: 'pass', componentType: 'datastore', observedUnit: 'ms' }],
      uptime: [{ status: 'pass', observedUnit: 's' }],
    },
  });
  const redis = body.checks['redis:latency']?.[0];
  expect(redis?.ageMs).toBeTypeOf('number');
  expect(redis?.latencyMs).toBeTypeOf('number');
  expect(Number.isNaN(Date.parse(String(redis?.time)))).toBe(false);
});

test('checks that never come back are few, and once one does probing goes on', async () => {
  let checks = 0;
  let mended = false;
  const stuck: ((result: { status: 'pass' }) => void)[] = [];
  create([
    probe({
      name: 'redis:latency',
      check: () => {
        checks++;
        return mended ? { status: 'pass' } : new Promise((resolve) => stuck.push(resolve));
      },
    }),
  ]);
  await vi.waitFor(() =>
    expect(health.snapshot().checks['redis:latency']?.[0]?.output).toMatch(/3 checks have not come back/),
  );
  expect(checks).toBe(3);
  mended = true;
  stuck.pop()?.({ status: 'pass' });
  await vi.waitFor(() => expect(health.snapshot().checks['redis:latency']?.[0]?.status).toBe('pass'));
});

test('a check that throws fails, and its reason is shown without what it may hold', async () => {
  create([
    probe({
      name: 'redis:latency',
      check: () => {
        throw new Error('connect ECONNREFUSED redis://:hunter2@127.0.0.1:6379/0');
      },
    }),
  ]);
  await vi.waitFor(() => expect(health.snapshot().checks['redis:latency']?.[0]?.status).toBe('fail'));
  const output = health.snapshot().checks['redis:latency']?.[0]?.output;
  expect(output).toContain('ECONNREFUSED redis://[redacted]@127.0.0.1:6379');
  expect(output).not.toContain('hunter2');
});

test('disk, memory and event loop are measured', async () => {
  create(systemProbes('.'));
  const names = ['disk:free', 'memory:rss', 'memory:heap', 'event-loop:delay'];
  await vi.waitFor(() => {
    const { checks } = health.snapshot();
    for (const name of names) expect(checks[name]?.[0]?.time, name).toBeDefined();
  });
  const { checks } = health.snapshot();
  expect(checks['disk:free']?.[0]).toMatchObject({ observedUnit: 'B', componentType: 'system' });
  expect(checks['memory:rss']?.[0]?.observedValue).toBeGreaterThan(1024 * 1024);
  expect(checks['event-loop:delay']?.[0]?.observedUnit).toBe('ms');
});
