/** Requests signed as Web Bot Auth has it, by the library of its authors; the directory is fetched over TLS. */
import { createPrivateKey, randomUUID, sign } from 'node:crypto';
import { createSignatureSync } from 'http-message-sig';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { generateSigningKey } from '../../src/trust/keys/signing.ts';
import { thumbprint } from '../../src/trust/keys/thumbprint.ts';
import { contentDigest } from '../../src/trust/wire/content-digest.ts';
import { openGateway, policyOf, type TestGateway, until } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import type { Call } from './support/callers.ts';
import { send, TRANSPORTS } from './support/clients.ts';
import { DEVELOPMENT, type DidHost, startDidHost } from './support/did-host.ts';

const PATH = '/.well-known/http-message-signatures-directory';
const TYPE = 'application/http-message-signatures-directory+json';
/** The least time that a directory is kept, and what a busy machine takes. */
const REFUSED_WITHIN_MS = 8_000;

const bot = generateSigningKey('ed25519');
const other = generateSigningKey('ed25519');
let agent: TestAgent;
let host: DidHost;
let gateway: TestGateway;

const publish = (keys: readonly object[]): void => host.put(PATH, JSON.stringify({ keys }), TYPE);

beforeAll(async () => {
  agent = await startAgent();
  host = await startDidHost();
  const upstreams = `upstreams: ["${agent.url}"]`;
  gateway = await openGateway({
    agents: [
      `{ id: bots, ${upstreams}, profiles: [web-bot-auth] }`,
      `{ id: both, ${upstreams}, profiles: [rfc9421, web-bot-auth] }`,
      `{ id: plain, ${upstreams} }`,
    ],
    policy: policyOf(
      `rules: [{ id: bot, effect: allow, match: { did: "did:web:localhost%3A${host.port}", path: /agents/** } }]`,
    ),
    env: DEVELOPMENT,
  });
});
afterAll(async () => {
  await gateway.close();
  await host[Symbol.asyncDispose]();
  await agent.stop();
});

function call(target: string, { by = bot, keyid = thumbprint({ ...by.publicJwk }), body = '' } = {}): Call {
  const now = Math.floor(Date.now() / 1_000);
  const method = body === '' ? 'GET' : 'POST';
  const fields: [string, string][] = [['signature-agent', `"https://localhost:${host.port}"`]];
  if (body !== '') fields.push(['content-digest', contentDigest(Buffer.from(body))]);
  const privateKey = createPrivateKey({ key: by.privateJwk, format: 'jwk' });
  const made = createSignatureSync(
    {
      kind: 'request',
      method,
      targetUri: gateway.origin + target,
      fields: fields.map(([name, value]) => ({ name, value })),
    },
    {
      label: 'sig1',
      components:
        body === ''
          ? ['@authority', 'signature-agent']
          : ['@method', '@target-uri', 'content-digest', 'signature-agent'],
      parameters: {
        created: now,
        expires: now + 60,
        keyid,
        alg: 'ed25519',
        nonce: randomUUID(),
        tag: 'web-bot-auth',
      },
      signer: { algorithm: 'ed25519', sign: (data) => new Uint8Array(sign(null, data, privateKey)) },
    },
  );
  return {
    method,
    target,
    headers: [...fields, ['signature-input', made.signatureInput], ['signature', made.signature]],
    ...(body === '' ? {} : { body: Buffer.from(body) }),
  };
}

describe.each(TRANSPORTS)('over %s', (transport) => {
  test.each(['bots', 'both'])('a bot whose directory is published is served at %s', async (id) => {
    publish([other.publicJwk, { ...bot.publicJwk, use: 'sig' }]);
    for (const body of ['', '{"page":1}']) {
      expect(await send(gateway, call(`/agents/${id}/pages`, { body }), transport)).toMatchObject({
        status: 200,
      });
    }
    expect(agent.seen.at(-1)?.headers).toMatchObject({
      'x-sage-verified-did': `did:web:localhost%3A${host.port}`,
      'x-sage-key-id': `did:web:localhost%3A${host.port}#${thumbprint({ ...bot.publicJwk })}`,
    });
  });
});

test('who signs with a key that is not in the directory he names is nobody', async () => {
  publish([bot.publicJwk]);
  const stranger = generateSigningKey('ed25519');
  expect(await send(gateway, call('/agents/bots/', { by: stranger }))).toMatchObject({
    status: 401,
    code: 'key_unknown',
  });
  const keyid = thumbprint({ ...bot.publicJwk });
  expect(await send(gateway, call('/agents/bots/', { by: stranger, keyid }))).toMatchObject({
    status: 401,
    code: 'signature_invalid',
  });
});

test('an agent that does not take bots takes none', async () => {
  publish([bot.publicJwk]);
  expect((await send(gateway, call('/agents/plain/'))).status).toBe(401);
});

test('a key that is taken out of its directory is refused', async () => {
  publish([bot.publicJwk]);
  expect(await send(gateway, call('/agents/bots/'))).toMatchObject({ status: 200 });
  publish([other.publicJwk]);
  const refused = await until(
    async () => {
      const answer = await send(gateway, call('/agents/bots/'));
      return answer.status === 200 ? null : answer;
    },
    'the key is refused',
    REFUSED_WITHIN_MS,
  );
  expect(refused).toMatchObject({ status: 401, code: 'key_unknown' });
}, 20_000);
