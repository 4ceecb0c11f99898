import { randomUUID, sign } from 'node:crypto';
import { createSignatureSync } from 'http-message-sig';
import { httpbis } from 'http-message-signatures';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { contentDigest } from '../../src/trust/wire/content-digest.ts';
import { ALLOW_ALL, openGateway, type TestGateway } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { type Call, newCaller } from './support/callers.ts';
import { send, TRANSPORTS } from './support/clients.ts';

const BODY = Buffer.from('{"city":"Seoul","유니코드":true}');
const caller = newCaller();
let agent: TestAgent;
let gateway: TestGateway;

beforeAll(async () => {
  agent = await startAgent();
  gateway = await openGateway({
    agents: [`{ id: echo, upstreams: ["${agent.url}"] }`],
    policy: ALLOW_ALL,
    tls: true,
  });
});
afterAll(async () => {
  await gateway.close();
  await agent.stop();
});

interface Unsigned {
  readonly method: string;
  readonly target: string;
  readonly body?: Buffer;
}

/** RFC 9421 by a library that is not ours: it makes the fields, Node's own crypto the signature. */
type Library = (request: Unsigned) => Promise<Call>;

function fieldsOf({ body }: Unsigned): Record<string, string> {
  return body === undefined
    ? {}
    : { 'content-type': 'application/json', 'content-digest': contentDigest(body) };
}

const covered = ({ body }: Unsigned): string[] => [
  '@method',
  '@target-uri',
  ...(body === undefined ? [] : ['content-type', 'content-digest']),
];

const libraries: readonly (readonly [name: string, Library])[] = [
  [
    'http-message-signatures',
    async (request) => {
      const { headers } = await httpbis.signMessage(
        {
          key: {
            id: caller.signer.keyId,
            alg: 'ed25519',
            sign: async (data) => sign(null, data, caller.privateKey),
          },
          name: 'theirs',
          params: ['created', 'keyid', 'nonce', 'alg', 'expires'],
          paramValues: { nonce: randomUUID(), expires: new Date(Date.now() + 30_000) },
          fields: covered(request),
        },
        { method: request.method, url: gateway.origin + request.target, headers: fieldsOf(request) },
      );
      return { ...request, headers: Object.entries(headers as Record<string, string>) };
    },
  ],
  [
    'http-message-sig',
    async (request) => {
      const fields = fieldsOf(request);
      const made = createSignatureSync(
        {
          kind: 'request',
          method: request.method,
          targetUri: gateway.origin + request.target,
          fields: Object.entries(fields).map(([name, value]) => ({ name, value })),
        },
        {
          label: 'theirs',
          components: covered(request),
          parameters: {
            created: Math.floor(Date.now() / 1_000),
            nonce: randomUUID(),
            keyid: caller.signer.keyId,
            alg: 'ed25519',
          },
          signer: {
            algorithm: 'ed25519',
            sign: (data) => new Uint8Array(sign(null, data, caller.privateKey)),
          },
        },
      );
      const signature = { 'signature-input': made.signatureInput, signature: made.signature };
      return { ...request, headers: Object.entries({ ...fields, ...signature }) };
    },
  ],
];

describe.each(libraries)('signed by %s', (_name, library) => {
  const requests: readonly (readonly [string, Unsigned])[] = [
    ['GET', { method: 'GET', target: '/agents/echo/a/b?x=1&y=%20z' }],
    ['POST with a digest', { method: 'POST', target: '/agents/echo/tasks', body: BODY }],
  ];
  const cases = TRANSPORTS.flatMap((transport) =>
    requests.map((request) => [transport, ...request] as const),
  );

  test.each(cases)('over %s: %s', async (transport, _what, request) => {
    const answer = await send(gateway, await library(request), transport);
    expect(answer).toMatchObject({ status: 200, code: '' });
    const last = agent.seen.at(-1);
    expect(last).toMatchObject({
      method: request.method,
      url: request.target.slice('/agents/echo'.length),
      body: request.body?.toString('utf8') ?? '',
    });
    expect(last?.headers['x-sage-verified-did']).toBe(caller.did);
  });

  test.each(TRANSPORTS)('over %s: not when a byte of the body was changed', async (transport) => {
    const call = await library({ method: 'POST', target: '/agents/echo/tasks', body: BODY });
    const answer = await send(gateway, { ...call, body: Buffer.from('{"city":"Busan"}') }, transport);
    expect(answer).toMatchObject({ status: 401, code: 'digest_mismatch' });
  });

  test.each(TRANSPORTS)('over %s: not for another path', async (transport) => {
    const call = await library({ method: 'GET', target: '/agents/echo/mine' });
    const answer = await send(gateway, { ...call, target: '/agents/echo/yours' }, transport);
    expect(answer).toMatchObject({ status: 401, code: 'signature_invalid' });
  });
});
