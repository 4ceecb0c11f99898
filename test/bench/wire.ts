/**
 * What reading a signed request costs, crypto excluded: view, shape, selection, time, coverage and base, in a hot
 * loop over 512 distinct messages. Runs alone: `node test/bench/wire.ts`.
 */
import { createHash } from 'node:crypto';
import { type RequestParts, requestView } from '../../src/trust/wire/message.ts';
import { checkMessageShape } from '../../src/trust/wire/shape.ts';
import { selectSignature } from '../../src/trust/wire/signature-input.ts';
import { checkCoverage, checkTime, signatureBase } from '../../src/trust/wire/verify.ts';

const MESSAGES = 512;
const WARM_UP_ROUNDS = 300;
const ROUNDS = 200;
const PASSES = 5;
const NOW = 1_700_000_030;
const KEY = 'did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK';

const COMPONENTS = '("@method" "@authority" "@path" "content-digest" "content-type")';

/** Distinct in path, moment, nonce and signature; reproducible. */
function message(index: number): RequestParts {
  const seed = createHash('sha512').update(String(index)).digest();
  const nonce = seed.toString('base64url', 0, 16);
  const created = NOW - (index % 30);
  return {
    method: 'POST',
    scheme: 'https',
    authority: 'gateway.example',
    target: `/agents/weather/v1/forecast/${index}`,
    rawHeaders: Object.entries({
      Host: 'gateway.example',
      'User-Agent': 'node',
      Accept: 'application/json',
      'Accept-Encoding': 'gzip, deflate',
      'Content-Type': 'application/json',
      'Content-Length': '45',
      Connection: 'keep-alive',
      'Content-Digest': `sha-256=:${seed.toString('base64', 0, 32)}:`,
      traceparent: `00-${seed.toString('hex', 0, 16)}-${seed.toString('hex', 16, 24)}-01`,
      'Signature-Input': `sig1=${COMPONENTS};created=${created};nonce="${nonce}";keyid="${KEY}#${KEY.slice(8)}"`,
      Signature: `sig1=:${seed.toString('base64')}:`,
    }).flat(),
  };
}

function read(parts: RequestParts): number {
  const view = requestView(parts);
  checkMessageShape(view);
  const signature = selectSignature(view);
  if (signature === null) throw new Error('the message has no signature');
  checkTime(signature.params, NOW);
  checkCoverage(signature, view, { hasBody: true });
  return signatureBase(signature, view).length;
}

/** Median of five passes, CPU microseconds a message. */
export function measureWire(): { wire_us: number } {
  const messages = Array.from({ length: MESSAGES }, (_, index) => message(index));
  let bytes = 0;
  const pass = (rounds: number): number => {
    const before = process.cpuUsage();
    for (let round = 0; round < rounds; round += 1) for (const one of messages) bytes += read(one);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / (rounds * MESSAGES);
  };
  pass(WARM_UP_ROUNDS);
  const passes = Array.from({ length: PASSES }, () => pass(ROUNDS)).sort((a, b) => a - b);
  if (bytes === 0) throw new Error('nothing was read');
  return { wire_us: passes[PASSES >> 1] ?? Number.NaN };
}

if (import.meta.main) console.log(JSON.stringify(measureWire()));
