/** One request, changed at random, shown to the gateway's identity and to the SDK: what one refuses the other does. */
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Claimant, identify, toRefusal } from '../../src/gateway/identity/identify.ts';
import { Refused } from '../../src/gateway/refusal.ts';
import { didKeyResolver } from '../../src/sdk/did.ts';
import { signRequest } from '../../src/sdk/sign.ts';
import { createVerifier } from '../../src/sdk/verify.ts';
import { DEFAULT_PROFILES } from '../../src/trust/profiles/profiles.ts';
import { requestView } from '../../src/trust/wire/message.ts';
import { openBench } from '../gateway/identity/support.ts';
import { codeOf, newParty } from './support/parties.ts';

const ORIGIN = 'https://gateway.example';
const RUNS = 4_000;

interface Shown {
  method: string;
  target: string;
  fields: [string, string][];
  body: Uint8Array<ArrayBuffer> | null;
  nowMs: number;
}

const bench = openBench();
let nowMs = Date.now();
const verifier = createVerifier({
  origins: ORIGIN,
  resolveKey: didKeyResolver(),
  // Only what the request itself says is compared here.
  nonces: { remembersSinceMs: 0, reserve: () => 'reserved' },
  maxBodyBytes: 1_000,
  now: () => nowMs,
});

async function byGateway(shown: Shown): Promise<string> {
  bench.nowMs = shown.nowMs;
  const claimant: Claimant = {
    view: requestView({
      method: shown.method,
      scheme: 'https',
      authority: 'gateway.example',
      target: shown.target,
      rawHeaders: shown.fields.flat(),
    }),
    source: shown.body === null ? null : Readable.from([Buffer.from(shown.body)]),
    declaredBytes: shown.body?.length ?? null,
    streamed: false,
    nonceDownPolicy: 'refuse',
    profiles: DEFAULT_PROFILES,
    onChecked: () => undefined,
    onIdentified: () => undefined,
  };
  try {
    const { body } = await identify(claimant, bench.settings, bench.ports);
    bench.settings.budget.heldBytes -= body?.length ?? 0;
    return 'none';
  } catch (error) {
    const refusal = toRefusal(error);
    if (!(refusal instanceof Refused)) throw error;
    return refusal.kind.code;
  }
}

function bySdk(shown: Shown): Promise<string> {
  nowMs = shown.nowMs;
  const { method, target, fields, body } = shown;
  return codeOf(verifier.verify({ method, url: target, headers: fields, body }));
}

type Change = (shown: Shown) => void;

const index = fc.nat({ max: 9 });
/** The host is looked up before identity is asked, so it is left alone. */
const fieldAt = (shown: Shown, at: number): number => 1 + (at % (shown.fields.length - 1));
const piece = fc.constantFrom(
  '"',
  '(',
  ')',
  ';',
  ',',
  '=',
  ':',
  '\\',
  ' ',
  '\t',
  '?1',
  'é',
  '-',
  '0',
  'A',
  '',
  ';tag="x"',
  ';req',
  ';sf',
  ';key="a"',
  '"@query"',
  '"@status"',
  '"@method"',
  '"@authority" "@path"',
  'created=1',
  ';alg="rsa-pss-sha512"',
  'sig2=',
  'sha-512',
);
const changes: fc.Arbitrary<Change> = fc.oneof(
  fc.tuple(index, fc.nat({ max: 400 }), fc.nat({ max: 8 }), piece).map(
    ([at, from, length, text]): Change =>
      (shown) => {
        const field = shown.fields[fieldAt(shown, at)];
        if (field === undefined) return;
        const start = from % (field[1].length + 1);
        field[1] = field[1].slice(0, start) + text + field[1].slice(start + length);
      },
  ),
  index.map(
    (at): Change =>
      (shown) =>
        void shown.fields.splice(fieldAt(shown, at), 1),
  ),
  index.map(
    (at): Change =>
      (shown) => {
        const [name, value] = shown.fields[fieldAt(shown, at)] ?? ['x', 'y'];
        shown.fields.push([name, value]);
      },
  ),
  index.map(
    (at): Change =>
      (shown) => {
        const [field] = shown.fields.splice(fieldAt(shown, at), 1);
        if (field !== undefined) shown.fields.push(field);
      },
  ),
  fc.constantFrom('GET', 'PUT', 'post', '').map(
    (method): Change =>
      (shown) =>
        void Object.assign(shown, { method }),
  ),
  fc.constantFrom('/other', '/agents?x=2', '/agents?', '/agents#x', '/agents?x=1&x=2', '/agents?x=%zz').map(
    (target): Change =>
      (shown) =>
        void Object.assign(shown, { target }),
  ),
  fc.constantFrom(null, new Uint8Array([1]), new Uint8Array(2_000)).map(
    (body): Change =>
      (shown) =>
        void Object.assign(shown, { body }),
  ),
  fc.integer({ min: -90, max: 90 }).map(
    (by): Change =>
      (shown) =>
        void Object.assign(shown, { nowMs: shown.nowMs + by * 1_000 }),
  ),
);

test('four thousand changed requests are judged alike', async () => {
  const { signer } = await newParty();
  const created = Date.now();
  const body = new TextEncoder().encode('{"a":1}');
  const request = {
    method: 'POST',
    url: `${ORIGIN}/agents?x=1`,
    headers: { 'content-type': 'application/json', authorization: 'Bearer x', 'x-plain': 'y' },
    body,
  };
  const cover = ['x-plain', '"@query-param";name="x"'];
  const signed = await signRequest(request, signer, { now: () => created, cover, expiresInSeconds: 40 });
  const codes = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(fc.array(changes, { maxLength: 3 }), async (made) => {
      const fields: [string, string][] = [['host', 'gateway.example']];
      for (const [name, value] of signed.headers) fields.push([name, value]);
      const shown: Shown = { method: 'POST', target: '/agents?x=1', fields, body, nowMs: created };
      for (const change of made) change(shown);
      const [theirs, ours] = [await byGateway(shown), await bySdk(shown)];
      codes.set(theirs, (codes.get(theirs) ?? 0) + 1);
      // A request with two faults may be told the other one first: whether a body follows is asked later here.
      const eitherUncovered = theirs === 'coverage_insufficient' && ours !== 'none';
      expect(eitherUncovered ? theirs : ours, JSON.stringify(shown)).toBe(theirs);
    }),
    { numRuns: RUNS },
  );
  console.log(
    `of ${RUNS} requests ${codes.get('none') ?? 0} were proven; ${codes.size - 1} refusals were met`,
  );
  expect(codes.get('none')).toBeGreaterThan(50);
  expect(codes.size).toBeGreaterThan(15);
}, 60_000);
