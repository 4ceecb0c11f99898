import { afterEach, expect, test, vi } from 'vitest';
import {
  createHealth,
  type Health,
  type HealthStatus,
  type Probe,
} from '../../src/operator/telemetry/health.ts';
import { gradeDisk, gradeLoopDelay, gradeMemory } from '../../src/operator/telemetry/probes.ts';
import { type Gateway, startGateway } from './support.ts';

let gateway: Gateway | null = null;
let health: Health;
afterEach(async () => {
  if (gateway === null) health.close();
  else await gateway.app.close();
  gateway = null;
});

function fixed(name: string, critical: boolean, status: HealthStatus): Probe {
  return {
    name,
    componentType: 'component',
    critical,
    intervalMs: 60_000,
    deadlineMs: 1000,
    check: () => ({ status }),
  };
}

const table: [
  critical: HealthStatus,
  other: HealthStatus,
  ready: boolean,
  overall: HealthStatus,
  code: number,
][] = [
  ['pass', 'pass', true, 'pass', 200],
  ['pass', 'warn', true, 'warn', 200],
  ['pass', 'fail', true, 'warn', 200],
  ['warn', 'pass', true, 'warn', 200],
  ['fail', 'pass', false, 'fail', 503],
];
test.each(table)(
  'critical %s and other %s: ready %s, %s, %i',
  async (critical, other, ready, overall, code) => {
    health = createHealth({
      probes: [fixed('policy:loaded', true, critical), fixed('disk:free', false, other)],
      now: () => Date.now(),
      version: '0.1.0',
    });
    health.configured();
    gateway = await startGateway({ health });
    await vi.waitFor(() => {
      for (const checks of Object.values(health.snapshot().checks)) expect(checks[0]?.time).toBeDefined();
    });
    const readiness = await fetch(`${gateway.origin}/health/ready`);
    expect(readiness.status).toBe(ready ? 200 : 503);
    expect(await readiness.text()).toBe(`{"status":"${ready ? 'pass' : 'fail'}"}`);
    const detailed = await gateway.ask('/health/detailed');
    expect(detailed.status).toBe(code);
    expect(await detailed.json()).toMatchObject({ status: overall });
    expect((await fetch(`${gateway.origin}/health/live`)).status).toBe(200);
  },
);

test('not ready before the configuration is loaded, nor before a critical component has answered', () => {
  const answer = Promise.withResolvers<{ status: 'pass' }>();
  health = createHealth({ probes: [], now: () => Date.now(), version: '0.1.0' });
  expect(health.ready()).toBe(false);
  expect(health.snapshot().output).toBe('configuration not loaded yet');
  health.configured();
  expect(health.ready()).toBe(true);
  health.register({ ...fixed('chain:head', true, 'pass'), check: () => answer.promise });
  expect(health.ready()).toBe(false);
  expect(health.snapshot().checks['chain:head']?.[0]).toMatchObject({
    status: 'fail',
    output: 'not measured yet',
  });
});

test('draining fails readiness and never liveness', async () => {
  gateway = await startGateway();
  gateway.health.configured();
  expect((await fetch(`${gateway.origin}/health/ready`)).status).toBe(200);
  gateway.health.drain();
  expect((await fetch(`${gateway.origin}/health/ready`)).status).toBe(503);
  expect((await fetch(`${gateway.origin}/health/live`)).status).toBe(200);
  expect(await (await gateway.ask('/health/detailed')).json()).toMatchObject({
    status: 'fail',
    output: 'draining',
  });
});

test('closing the server drains first and stops the probes', async () => {
  let closed = false;
  const close = (): void => {
    closed = true;
  };
  const probe = { ...fixed('redis:latency', false, 'pass'), close };
  health = createHealth({ probes: [probe], now: () => Date.now(), version: '0.1.0' });
  health.configured();
  const started = await startGateway({ health });
  await started.app.close();
  expect(health.ready()).toBe(false);
  expect(closed).toBe(true);
});

test('what registers probes in a loop is stopped', () => {
  health = createHealth({ probes: [], now: () => Date.now(), version: '0.1.0' });
  expect(() => {
    for (let i = 0; i < 65; i++) health.register(fixed(`component:${i}`, false, 'pass'));
  }).toThrow(RangeError);
});

test('measures are graded at their bounds', () => {
  const MIB = 1024 * 1024;
  expect([2048, 1023, 63].map((free) => gradeDisk(free * MIB).status)).toEqual(['pass', 'warn', 'fail']);
  expect([79, 80, 95].map((used) => gradeMemory(used, 100).status)).toEqual(['pass', 'warn', 'fail']);
  expect([99, 100, 1000].map((delay) => gradeLoopDelay(delay).status)).toEqual(['pass', 'warn', 'fail']);
});
