import { createPublicKey } from 'node:crypto';
import fc from 'fast-check';
import { base58btc } from 'multiformats/bases/base58';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startAgent, type TestAgent } from '../e2e/support/agent.ts';
import { type Call, newCaller, signed } from '../e2e/support/callers.ts';
import { startGateway, type TortureGateway } from './support/gateway.ts';
import { block, END_HEADERS, END_STREAM, frame, HEADERS, sendFrames } from './support/http2-client.ts';
import { knownCodes } from './support/known-codes.ts';
import { toBytes } from './support/mutations.ts';
import { askAll } from './support/raw-client.ts';
import { report, SEED, tally, times } from './support/run.ts';

const alice = newCaller();
const known = knownCodes();
const ORIGINS = [
  'https://gateway.example',
  'https://api.example:8443',
  'https://xn--bcher-kva.example',
  'https://[2001:db8::1]',
];
let agent: TestAgent;
let gateway: TortureGateway;

beforeAll(async () => {
  agent = await startAgent();
  gateway = await startGateway([`{ id: echo, upstreams: ["${agent.url}"] }`], {
    PUBLIC_ORIGINS: ORIGINS.join(','),
    TRUSTED_PROXIES: '127.0.0.1',
  });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await agent.stop();
});

const asBytes = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
const GET: Call = { method: 'GET', target: '/agents/echo/' };

function bytesOf(host: string, fields: Call['headers'] = []): Buffer {
  return toBytes({
    line: 'GET /agents/echo/ HTTP/1.1',
    fields: [['Host', host], ...fields],
    body: Buffer.alloc(0),
  });
}

/** Fullwidth forms of ASCII, and letters of other scripts that look like Latin ones. */
const fullwidth = (text: string): string =>
  text.replace(/[!-~]/g, (one) => String.fromCharCode(one.charCodeAt(0) + 0xfee0));
const LOOKALIKES: Readonly<Record<string, string>> = {
  a: 'а',
  c: 'с',
  d: 'ԁ',
  e: 'е',
  i: 'і',
  k: 'κ',
  o: 'о',
  p: 'р',
  x: 'х',
  y: 'у',
};
const lookalike = (text: string): string => text.replace(/[acdeikopxy]/, (one) => LOOKALIKES[one] ?? one);
const percent = (text: string, at: number): string =>
  `${text.slice(0, at)}%${text.charCodeAt(at).toString(16)}${text.slice(at + 1)}`;

describe('a DID', () => {
  const { did } = alice;
  const key = did.slice('did:key:'.length);
  const raw = base58btc.decode(key as `z${string}`);
  const x = String(createPublicKey(alice.privateKey).export({ format: 'jwk' }).x);
  const spellings: readonly string[] = [
    `DID:key:${key}#${key}`,
    `did:KEY:${key}#${key}`,
    `did:key:${key.toUpperCase()}#${key.toUpperCase()}`,
    `did:key:${key.toLowerCase()}#${key.toLowerCase()}`,
    `did:key:Z${key.slice(1)}#Z${key.slice(1)}`,
    `did:key:z1${key.slice(1)}#z1${key.slice(1)}`,
    // The same bytes in other bases.
    `did:key:f${Buffer.from(raw).toString('hex')}#f${Buffer.from(raw).toString('hex')}`,
    `did:key:u${Buffer.from(raw).toString('base64url')}#u${Buffer.from(raw).toString('base64url')}`,
    `did:key:m${Buffer.from(raw).toString('base64')}#m${Buffer.from(raw).toString('base64')}`,
    // A code of two bytes written with three (a varint has one shortest form).
    `did:key:${base58btc.encode(Uint8Array.of(0xed, 0x81, 0x00, ...raw.slice(2)))}`,
    `did:key:${base58btc.encode(raw.slice(0, -1))}#${base58btc.encode(raw.slice(0, -1))}`,
    `did:key:${base58btc.encode(Uint8Array.of(...raw, 0))}#${base58btc.encode(Uint8Array.of(...raw, 0))}`,
    `${percent(did, 8)}#${key}`,
    `${percent(did, 2)}#${key}`,
    `${did}#${percent(key, 0)}`,
    `did%3Akey%3A${key}#${key}`,
    ` ${did}#${key}`,
    `${did}#${key} `,
    `${did} #${key}`,
    `${did}##${key}`,
    `${did}#${key}#${key}`,
    `${did}/#${key}`,
    `${did}/a#${key}`,
    `${did}?a=b#${key}`,
    `${did}?#${key}`,
    `${did};a=b#${key}`,
    `${did}:#${key}`,
    `did:key:${key}.#${key}`,
    `did::${key}#${key}`,
    `did:key:#${key}`,
    `#${key}`,
    key,
    `${did}#`,
    `${did}#other`,
    `${did}\\"#${key}`,
    `did:web:${key}#${key}`,
    `did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK#${key}`,
    `did:jwk:${Buffer.from(JSON.stringify({ kty: 'OKP', crv: 'Ed25519', x: x.toUpperCase() })).toString('base64url')}#0`,
  ];

  /** The outcome of a request signed by alice's own key under `keyId`, and the DID that the agent was told. */
  async function identify(keyIds: readonly string[]): Promise<string[]> {
    const requests = keyIds.map((keyId) => {
      const call = signed({ signer: { ...alice.signer, keyId } }, 'https://gateway.example', GET);
      return bytesOf('gateway.example', call.headers);
    });
    const before = agent.seen.length;
    const answers = await askAll(gateway.port, requests, () => false);
    gateway.stillRuns();
    // Whoever was served was told to the agent as who he is.
    for (const { headers } of agent.seen.slice(before)) expect(headers['x-sage-verified-did']).toBe(did);
    return answers.map((answer) => {
      if (answer === null) return 'cut';
      if (answer.status !== 200) expect(known.get(answer.code)).toBe(answer.status);
      return answer.status === 200 ? 'served' : answer.code;
    });
  }

  test('in its one spelling is served', async () => {
    expect(await identify([`${did}#${key}`])).toEqual(['served']);
  });

  test.each(spellings)('%s is not alice', async (keyId) => {
    expect(await identify([keyId])).not.toContain('served');
  });

  test.each([
    ['fullwidth', fullwidth(`${did}#${key}`)],
    ['fullwidth colons', `${did}#${key}`.replaceAll(':', '：')],
    ['letters of another script', lookalike(`${did}#${key}`)],
    ['a zero-width space', `did:key:\u200b${key}#${key}`],
    ['a right-to-left mark', `did:key:${key}\u200f#${key}`],
    ['a combining mark', `did:key:${key}\u0301#${key}`],
    ['a byte order mark', `\ufeff${did}#${key}`],
    ['a NUL', `${did}\0#${key}`],
    ['a tab', `${did}\t#${key}`],
    ['DEL', `${did}\x7f#${key}`],
  ])('with %s is not even a name', async (_name, keyId) => {
    const { headers = [] } = signed(alice, 'https://gateway.example', GET);
    const odd = headers.map(([name, value]): [string, string] => [
      name,
      value.replace(`keyid="${did}#${key}"`, `keyid="${asBytes(keyId)}"`),
    ]);
    expect(odd).not.toEqual(headers);
    const [answer] = await askAll(gateway.port, [bytesOf('gateway.example', odd)], () => true);
    expect(answer?.status).toBe(400);
    expect(known.get(answer?.code ?? '')).toBe(400);
  });

  test('changed at random is nobody, or another', async () => {
    const startedAt = performance.now();
    const text = `${did}#${key}`;
    const change = fc.record({
      at: fc.nat(text.length),
      remove: fc.nat(2),
      insert: fc.oneof(
        fc.string({ unit: 'grapheme-ascii', maxLength: 3 }),
        fc.constantFrom(
          '%',
          '%2',
          '%41',
          ':',
          '#',
          '/',
          '?',
          ';',
          'z',
          '1',
          '0',
          'O',
          'I',
          'l',
          '.',
          '..',
          '-',
          '_',
        ),
      ),
    });
    const all = fc
      .sample(change, { numRuns: times(500, 20_000), seed: SEED })
      .map(({ at, remove, insert }) => text.slice(0, at) + insert + text.slice(at + remove))
      .filter((keyId) => keyId !== text);
    const outcomes: string[] = [];
    for (let from = 0; from < all.length; from += 500) {
      const slice = all.slice(from, from + 500);
      const found = await identify(slice);
      const wrong = found.indexOf('served');
      if (wrong >= 0) expect.fail(`seed ${SEED}: served as ${JSON.stringify(slice[wrong])}`);
      outcomes.push(...found);
    }
    report('changed DIDs', all.length, startedAt, tally(outcomes));
  }, 600_000);
});

describe('a host', () => {
  /** Host, and the origin for which its request is served; null where it is for none. */
  const hosts: readonly (readonly [host: string, origin: string | null])[] = [
    ['gateway.example', 'https://gateway.example'],
    ['GATEWAY.Example', 'https://gateway.example'],
    ['gateway.example:443', 'https://gateway.example'],
    ['Gateway.Example:443', 'https://gateway.example'],
    ['api.example:8443', 'https://api.example:8443'],
    ['xn--bcher-kva.example', 'https://xn--bcher-kva.example'],
    ['XN--BCHER-KVA.example', 'https://xn--bcher-kva.example'],
    ['[2001:db8::1]', 'https://[2001:db8::1]'],
    ['[2001:DB8::1]:443', 'https://[2001:db8::1]'],
    ...[
      'gateway.example.',
      'gateway.example.:443',
      'gateway.example:80',
      'gateway.example:0443',
      'gateway.example:',
      'gateway.example:443:443',
      'gateway.example:65536',
      'gateway.example:99999',
      'gateway.example:-443',
      'gateway.example:+443',
      'gateway.example:4 43',
      'gateway.example:https',
      'u@gateway.example',
      'u:p@gateway.example',
      '@gateway.example',
      'gateway.example@other.example',
      'gateway.example,other.example',
      'gateway.example other.example',
      'gateway.example/',
      'gateway.example?',
      'gateway.example#',
      'gateway.example\\',
      'https://gateway.example',
      '//gateway.example',
      'gateway%2eexample',
      'gateway.example%00',
      'gateway.example\0',
      'gateway.example\x01',
      '.gateway.example',
      'gateway..example',
      'www.gateway.example',
      'example',
      'localhost',
      '127.0.0.1',
      '127.1',
      '0x7f.1',
      '*',
      '*.example',
      'api.example',
      'api.example:443',
      '2001:db8::1',
      '[2001:db8:0::1]',
      '[2001:db8:0:0:0:0:0:1]',
      '[2001:0db8::1]',
      '[2001:db8::1%25eth0]',
      '[2001:db8::1',
      '2001:db8::1]',
      '[[2001:db8::1]]',
      '[2001:db8::0.0.0.1]',
      '[::ffff:127.0.0.1]',
      '[gateway.example]',
      `${'a'.repeat(300)}.example`,
      ...[
        'bücher.example',
        'ｇateway.example',
        'gаteway.example',
        'gateway。example',
        'gateway.example\u200b',
        'ⓖateway.example',
      ].map(asBytes),
    ].map((host) => [host, null] as const),
  ];

  test.each(hosts)('%j', async (host, origin) => {
    // Signed for the origin whose name it resembles: what is signed is right, so only the host can refuse it.
    const { headers = [] } = signed(alice, origin ?? 'https://gateway.example', GET);
    const [answer] = await askAll(gateway.port, [bytesOf(host, headers)], () => true);
    gateway.stillRuns();
    if (origin === null) {
      expect([400, 421]).toContain(answer?.status);
      expect(known.get(answer?.code ?? '')).toBe(answer?.status);
    } else expect(answer?.status).toBe(200);

    const again = signed(alice, origin ?? 'https://gateway.example', GET);
    const fields: [string, string][] = [
      [':method', 'GET'],
      [':scheme', 'http'],
      [':path', GET.target],
      [':authority', host],
      ...(again.headers ?? []).map(([name, value]): [string, string] => [name, value]),
    ];
    const { outcome } = await sendFrames(gateway.port, [
      frame(HEADERS, END_STREAM | END_HEADERS, 1, block(fields)),
    ]);
    if (origin === null) expect(outcome).not.toBe('200');
    else expect(outcome).toBe('200');
  });

  test('that is ours too serves no signature made for another of ours', async () => {
    for (const origin of ORIGINS) {
      const { headers = [] } = signed(alice, origin, GET);
      const others = ORIGINS.filter((other) => other !== origin).map((other) =>
        bytesOf(new URL(other).host, headers),
      );
      for (const answer of await askAll(gateway.port, others, () => true))
        expect(answer?.code).toBe('signature_invalid');
    }
  });
});
