import { readFileSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { requestView } from '../../src/trust/wire/message.ts';
import { selectSignature } from '../../src/trust/wire/signature-input.ts';
import { signatureBase } from '../../src/trust/wire/verify.ts';
import { startAgent, type TestAgent } from '../e2e/support/agent.ts';
import { newCaller, signed } from '../e2e/support/callers.ts';
import { startGateway, type TortureGateway } from './support/gateway.ts';
import { knownCodes } from './support/known-codes.ts';
import { type Edit, type Message, mutate, mutations, readBytes, toBytes } from './support/mutations.ts';
import { askAll, type RawAnswer } from './support/raw-client.ts';
import { report, SEED, TORTURE, tally, times } from './support/run.ts';

/** What was found once, and the code that answers it; `served` where nothing that was signed is changed. */
interface Kept {
  readonly why: string;
  readonly code: string;
  readonly edits: readonly Edit[];
}
const CORPUS_FILE = new URL('../corpus/signature-mutations.json', import.meta.url);
const CORPUS = JSON.parse(readFileSync(CORPUS_FILE, 'utf8')) as readonly Kept[];

const HOST = 'gateway.example';
const BODY = Buffer.from('{"pay":1,"to":"bob"}');
/** Requests sent before memory is looked at: until then the heap takes what it may, and tables are touched for the first time. */
const WARM_UP = 30_000;
/** The table of nonces has 25 MB, of which each request that is served touches a page. */
const GROWTH_MB_MAX = 48;
const alice = newCaller();
const known = knownCodes();
let agent: TestAgent;
let gateway: TortureGateway;

beforeAll(async () => {
  agent = await startAgent();
  gateway = await startGateway([`{ id: echo, upstreams: ["${agent.url}"] }`], {
    PUBLIC_ORIGINS: `https://${HOST}`,
    TRUSTED_PROXIES: '127.0.0.1',
  });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await agent.stop();
});

/** A good request, every other one with a body. */
function goodMessage(at: number): Message {
  const target = '/agents/echo/v1/orders?q=1&r=%20a';
  const post = at % 2 === 0;
  const call = signed(
    alice,
    `https://${HOST}`,
    {
      method: post ? 'POST' : 'GET',
      target,
      headers: [
        ['x-tenant', 'acme, "b"'],
        ['accept', 'application/json'],
        ...(post ? [['content-type', 'application/json'] as const] : []),
      ],
      ...(post ? { body: BODY } : {}),
    },
    { cover: ['x-tenant'], expiresIn: 50 },
  );
  return {
    line: `${call.method} ${target} HTTP/1.1`,
    fields: [
      ['host', HOST],
      ...(call.headers ?? []),
      ...(post ? [['content-length', String(BODY.length)] as const] : []),
    ],
    body: post ? BODY : Buffer.alloc(0),
  };
}

interface Proof {
  readonly base: string;
  readonly signature: string;
}

/** What a request proves, by the wire itself. */
function proofOf(bytes: Buffer): Proof | null {
  const read = readBytes(bytes);
  if (read === null) return null;
  const view = requestView({ ...read, scheme: 'https', authority: HOST });
  const signature = selectSignature(view);
  if (signature === null) return null;
  return {
    base: Buffer.from(signatureBase(signature, view)).toString('latin1'),
    signature: Buffer.from(signature.signature).toString('hex'),
  };
}

interface Attempt {
  readonly edits: readonly Edit[];
  readonly original: Buffer;
  readonly bytes: Buffer;
}

function attempt(edits: readonly Edit[], at: number): Attempt {
  const message = goodMessage(at);
  return { edits, original: toBytes(message), bytes: toBytes(mutate(message, edits)) };
}

const bodyOf = (bytes: Buffer): string => bytes.toString('latin1').replace(/^[\s\S]*?\r\n\r\n/, '');

/** The outcome, or why it must not be. */
function judge({ bytes, original }: Attempt, answer: RawAnswer | null): string {
  if (answer === null) {
    // A head that ends early leaves bytes behind that are no request: the connection is cut, and nothing can be answered.
    return bodyOf(bytes) === bodyOf(original) ? 'WRONG: no answer' : 'cut';
  }
  if (answer.status === 200) {
    const [proven, signedOnce] = [proofOf(bytes), proofOf(original)];
    const same =
      proven !== null && proven.base === signedOnce?.base && proven.signature === signedOnce.signature;
    return same ? 'served' : 'WRONG: accepted, though what was signed is not what was sent';
  }
  if (answer.code === '') return `WRONG: ${answer.status} is no problem document`;
  if (known.get(answer.code) !== answer.status)
    return `WRONG: ${answer.code} with ${answer.status} is not in the manual`;
  if (answer.status >= 500 && answer.code !== 'http_version_unsupported') return `WRONG: ${answer.code}`;
  return answer.code;
}

async function send(attempts: readonly Attempt[]): Promise<string[]> {
  const answers = await askAll(
    gateway.port,
    attempts.map(({ bytes }) => bytes),
    (bytes) => /[\r\n]/.test(bodyOf(bytes)) || readBytes(bytes) === null,
  );
  gateway.stillRuns();
  return attempts.map((one, at) => judge(one, answers[at] ?? null));
}

/** Whether the outcome rests on digits of the moment or on random letters, so that it may be another one tomorrow. */
function isFickle({ kind, place }: Edit, code: string): boolean {
  if (kind === 'set-parameter') return false;
  return (
    ((kind === 'swap' || kind === 'case') && place.startsWith('signature')) ||
    ['signature_too_old', 'signature_expired', 'created_in_future'].includes(code)
  );
}

/** Adds to the corpus, for each outcome and each change that is served, the shortest that was found. */
async function keep(all: readonly (readonly Edit[])[], outcomes: readonly string[]): Promise<void> {
  const slotOf = (why: string, code: string): string => (code === 'served' ? why : code);
  const kept = new Map(CORPUS.map((one) => [slotOf(one.why, one.code), one]));
  const shortestFirst = all.map((edits, at) => ({ edits, code: outcomes[at] ?? '' }));
  shortestFirst.sort((a, b) => JSON.stringify(a.edits).length - JSON.stringify(b.edits).length);
  for (const { edits, code } of shortestFirst) {
    const [edit, ...others] = edits;
    if (edit === undefined || others.length > 0 || code === 'cut' || isFickle(edit, code)) continue;
    const why = `${edit.kind} ${edit.place}: ${code}`;
    const slot = slotOf(why, code);
    if (kept.has(slot)) continue;
    const again = [0, 1, 2, 3, 4, 5, 6, 7].map((at) => attempt(edits, at));
    if (again.some(({ bytes, original }) => bytes.equals(original))) continue;
    const found = await send(again);
    if (found.slice(0, 2).includes(code) && found.every((one, at) => one === found[at % 2]))
      kept.set(slot, { why, code, edits });
  }
  writeFileSync(CORPUS_FILE, `${JSON.stringify([...kept.values()], null, 1)}\n`);
}

const shown = ({ edits, bytes }: Attempt, outcome: string): string =>
  `${outcome}\nedits: ${JSON.stringify(edits)}\nsent: ${JSON.stringify(bytes.toString('latin1'))}`;

describe('signed requests that were changed on the way', () => {
  test('unchanged, every one is served', async () => {
    expect(tally(await send(Array.from({ length: 50 }, (_, at) => attempt([], at))))).toEqual(
      new Map([['served', 50]]),
    );
  });

  test.each(CORPUS)('kept: $why', async ({ code, edits }) => {
    const attempts = [attempt(edits, 0), attempt(edits, 1)];
    const outcomes = await send(attempts);
    expect(outcomes.filter((outcome) => outcome.startsWith('WRONG'))).toEqual([]);
    expect(outcomes).toContain(code);
  });

  test('at random: none is accepted that says something else, each refusal is a documented one', async () => {
    const startedAt = performance.now();
    const all = fc.sample(mutations, { numRuns: times(2_000, 100_000), seed: SEED });
    const outcomes: string[] = [];
    let baseMb = Number.NaN;
    // In slices, because a signature grows old while the others are tried.
    for (let from = 0; from < all.length; from += 500) {
      const attempts = all.slice(from, from + 500).map(attempt);
      const found = await send(attempts);
      const wrong = found.findIndex((outcome) => outcome.startsWith('WRONG'));
      if (wrong >= 0)
        expect.fail(`seed ${SEED}: ${shown(attempts[wrong] as Attempt, found[wrong] as string)}`);
      outcomes.push(...found);
      if (outcomes.length >= WARM_UP && Number.isNaN(baseMb)) baseMb = gateway.rssMb();
    }
    if (process.env.TORTURE_KEEP === '1') await keep(all, outcomes);
    const counts = tally(outcomes);
    report('mutated signatures', all.length, startedAt, counts);
    // Otherwise the changes were all of one kind.
    expect(counts.size).toBeGreaterThan(20);
    expect(counts.get('served')).toBeGreaterThan(0);
    expect(counts.get('signature_invalid')).toBeGreaterThan(all.length / 50);
    const grownMb = gateway.rssMb() - baseMb;
    if (TORTURE && !Number.isNaN(grownMb)) {
      report('memory grown since warm, MB', Math.round(grownMb), startedAt, new Map());
      expect(grownMb).toBeLessThan(GROWTH_MB_MAX);
    }
  }, 600_000);

  test('afterwards a good request is served as before', async () => {
    expect(await send([attempt([], 0), attempt([], 1)])).toEqual(['served', 'served']);
  });
});
