import { PassThrough, Readable } from 'node:stream';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { beforeEach, describe, expect, test } from 'vitest';
import { type BodyBudget, type BodyLimits, readBody } from '../../../src/gateway/identity/body.ts';
import { Refused } from '../../../src/gateway/refusal.ts';
import { ask, openBench } from './support.ts';

const LIMITS: BodyLimits = { limitBytes: 100, idleTimeoutMs: 60, totalTimeoutMs: 200 };
let budget: BodyBudget;
beforeEach(() => {
  budget = { totalBytes: 250, heldBytes: 0 };
});

async function read(source: Readable, declared: number | null = null): Promise<string> {
  try {
    return (await readBody(source, declared, LIMITS, budget)).toString();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return error.kind.code;
  }
}
const of = (...chunks: string[]): Readable => Readable.from(chunks.map((chunk) => Buffer.from(chunk)));

test('a body is read whole, whatever its chunks', async () => {
  expect(await read(of('one'))).toBe('one');
  expect(await read(of('o', 'n', 'e'))).toBe('one');
  expect(await read(of())).toBe('');
  expect(budget.heldBytes).toBe(6);
});

describe('too large', () => {
  test('as declared, before a byte is read', async () => {
    const source = new PassThrough();
    await expect((async () => read(source, 101))()).resolves.toBe('body_too_large');
    expect(source.listenerCount('data')).toBe(0);
  });
  test('as it turns out', async () => {
    expect(await read(of('a'.repeat(60), 'a'.repeat(60)), 10)).toBe('body_too_large');
    expect(budget.heldBytes).toBe(0);
  });
});

describe('all bodies together', () => {
  test('count what is held and what is declared', async () => {
    const held = [new PassThrough(), new PassThrough()];
    const reading = held.map((source) => read(source, 90));
    for (const source of held) source.write('a'.repeat(90));
    await expect.poll(() => budget.heldBytes, { interval: 5, timeout: 1_000 }).toBe(180);
    expect(await read(of('a'.repeat(80)), 80)).toBe('body_memory_exhausted');
    expect(await read(of('a'.repeat(80)), null)).toBe('body_memory_exhausted');
    expect(budget.heldBytes).toBe(180);
    expect(await read(of('a'.repeat(70)), 70)).toBe('a'.repeat(70));
    for (const source of held) source.end();
    expect(await Promise.all(reading)).toEqual(['a'.repeat(90), 'a'.repeat(90)]);
  });
});

test('a body that comes byte by byte takes no more than a few times its length', async () => {
  const bytes = 262_144;
  const limits: BodyLimits = { ...LIMITS, limitBytes: bytes, idleTimeoutMs: 60_000, totalTimeoutMs: 60_000 };
  budget = { totalBytes: bytes, heldBytes: 0 };
  const source = new Readable({ read: () => undefined });
  const reading = readBody(source, null, limits, budget);
  const before = heldBytes();
  for (let sent = 0; sent < bytes; sent += 1) {
    source.push(Buffer.from([sent & 0xff]));
    if (sent % 1_024 === 0) await new Promise(setImmediate);
  }
  await expect.poll(() => budget.heldBytes, { interval: 5 }).toBe(bytes);
  expect(heldBytes() - before).toBeLessThan(16 * bytes);
  source.push(null);
  const body = await reading;
  expect(body).toEqual(Buffer.from(Array.from({ length: bytes }, (_, at) => at & 0xff)));
});

test('a long body is hashed in parts, between which others have their turn', async () => {
  const bench = openBench();
  const settings = {
    ...bench.settings,
    body: { ...LIMITS, limitBytes: 4_194_304 },
    budget: { totalBytes: 16_777_216, heldBytes: 0 },
  };
  const long = { ...bench, settings };
  const body = Buffer.alloc(4_194_304, 'a');
  // Its key is in memory then, and the body comes at once.
  expect((await ask(long)).code).toBe('');
  let turns = 0;
  const look = (): void => {
    turns += 1;
    looking = setImmediate(look);
  };
  let looking = setImmediate(look);
  expect((await ask(long, { body })).identified?.body).toEqual(body);
  expect(turns).toBeGreaterThanOrEqual(64);
  const forged = Buffer.from(body);
  forged[forged.length - 1] = 98;
  expect((await ask(long, { body: forged, signedBody: body })).code).toBe('digest_mismatch');
  clearImmediate(looking);
});

describe('room comes back, and nothing listens any more, when a body', () => {
  test('falls silent', async () => {
    const source = new PassThrough();
    const startedAt = performance.now();
    const reading = read(source);
    source.write('a');
    expect(await reading).toBe('body_timeout');
    expect(performance.now() - startedAt).toBeGreaterThan(LIMITS.idleTimeoutMs - 5);
    expectDetached(source);
  });

  test('drips for longer than it may take in all', async () => {
    const source = new PassThrough();
    const reading = read(source);
    const startedAt = performance.now();
    const drip = setInterval(() => source.write('a'), 20);
    expect(await reading).toBe('body_timeout');
    clearInterval(drip);
    expect(performance.now() - startedAt).toBeGreaterThan(LIMITS.totalTimeoutMs - 5);
    expectDetached(source);
  });

  test('breaks off', async () => {
    const source = new PassThrough();
    const reading = read(source);
    source.write('a');
    source.destroy(new Error('reset'));
    expect(await reading).toBe('body_aborted');
    expectDetached(source);
  });

  test('breaks off once more after it was given up', async () => {
    const source = new PassThrough();
    const reading = read(source);
    source.write('a'.repeat(101));
    expect(await reading).toBe('body_too_large');
    const closed = new Promise((resolve) => source.once('close', resolve));
    source.destroy(new Error('reset'));
    await closed;
    expectDetached(source);
  });
});

/** What is alive, on the heap of JavaScript and beside it. */
function heldBytes(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function expectDetached(source: Readable): void {
  expect(budget.heldBytes).toBe(0);
  for (const event of ['data', 'end']) expect(source.listenerCount(event), event).toBe(0);
}
