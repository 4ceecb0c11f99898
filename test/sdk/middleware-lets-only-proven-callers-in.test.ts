import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { beforeAll, describe, expect, test } from 'vitest';
import { didKeyResolver } from '../../src/sdk/did.ts';
import type { RequestRefused } from '../../src/sdk/errors.ts';
import { createNonceMemory } from '../../src/sdk/nonces.ts';
import { readRefusal } from '../../src/sdk/refusal.ts';
import { type SignedRequest, type SignOptions, signRequest } from '../../src/sdk/sign.ts';
import { signedFetch } from '../../src/sdk/signed-fetch.ts';
import type { Signer } from '../../src/sdk/signer.ts';
import { until } from '../support/gateway.ts';
import { newParty } from './support/parties.ts';
import { type OwnServer, SERVERS } from './support/servers.ts';

let signer: Signer;
let did: string;
beforeAll(async () => {
  signer = (await newParty()).signer;
  did = signer.keyId.split('#')[0] ?? '';
});

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly document: Record<string, unknown>;
}

/** Sends exactly this; as chunks, without saying how long it is. */
async function send({ method, url, headers, body }: SignedRequest, chunked = false): Promise<Answer> {
  const length: [string, string][] =
    chunked || body === null ? [] : [['content-length', String(body.length)]];
  const sending = httpRequest(url, { method, headers: Object.fromEntries([...headers, ...length]) });
  if (body !== null) {
    for (let at = 0; at < body.length; at += 65_536) sending.write(body.subarray(at, at + 65_536));
  }
  sending.end();
  // A server that answers early closes; what was still being sent then concerns nobody.
  sending.on('error', () => undefined);
  const [response] = (await once(sending, 'response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of response) text += String(chunk);
  return {
    status: response.statusCode ?? 0,
    type: response.headers['content-type'] ?? '',
    document: JSON.parse(text) as Record<string, unknown>,
  };
}

describe.each(SERVERS)('%s', (_name, start) => {
  const refused: RequestRefused[] = [];
  let server: OwnServer;
  beforeAll(async () => {
    server = await start({
      resolveKey: didKeyResolver(),
      nonces: createNonceMemory({ noEarlierProcess: true }),
      maxBodyBytes: 200_000,
      onRefused: (one) => refused.push(one),
    });
    return () => server[Symbol.asyncDispose]();
  });

  const post = (body: string, options: SignOptions = {}, path = '/orders?id=7'): Promise<SignedRequest> =>
    signRequest(
      { method: 'POST', url: server.origin + path, headers: { 'content-type': 'application/json' }, body },
      signer,
      options,
    );

  test('a signed GET arrives, with who called', async () => {
    const response = await signedFetch(signer)(`${server.origin}/weather?city=Seoul`);
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ did, body: null });
  });

  test.each([1, 70_000, 199_000])('a signed body of %i bytes is parsed as ever', async (bytes) => {
    const body = { text: 'x'.repeat(bytes - 1) };
    expect(await send(await post(JSON.stringify(body)))).toMatchObject({
      status: 200,
      document: { did, body },
    });
    const chunked = await send(await post(JSON.stringify(body)), true);
    expect(chunked).toMatchObject({ status: 200, document: { did, body } });
  });

  test('one connection serves several requests with bodies', async () => {
    const fetching = signedFetch(signer);
    for (let index = 0; index < 3; index += 1) {
      const init = { method: 'POST', body: `[${index}]`, headers: { 'content-type': 'application/json' } };
      const response = await fetching(`${server.origin}/count`, init);
      expect(await response.json()).toEqual({ did, body: [index] });
    }
  });

  test('a mounted path is verified as it was called', async () => {
    const response = await signedFetch(signer)(`${server.origin}/mounted/deep`);
    expect(response.status).toBe(200);
  });

  const cases: [string, number, string, () => Promise<Answer>][] = [
    ['unsigned', 401, 'signature_required', async () => send({ ...(await post('{}')), headers: [] })],
    [
      'tampered body',
      401,
      'digest_mismatch',
      async () => send({ ...(await post('{"a":1}')), body: new TextEncoder().encode('{"a":2}') }),
    ],
    [
      'tampered body in chunks',
      401,
      'digest_mismatch',
      async () => send({ ...(await post('{"a":1}')), body: new TextEncoder().encode('{"a":2}') }, true),
    ],
    [
      'tampered path',
      401,
      'signature_invalid',
      async () => send({ ...(await post('{}')), url: `${server.origin}/refunds?id=7` }),
    ],
    [
      'expired',
      401,
      'signature_too_old',
      async () => send(await post('{}', { now: () => Date.now() - 70_000 })),
    ],
    [
      'from the future',
      401,
      'created_in_future',
      async () => send(await post('{}', { now: () => Date.now() + 70_000 })),
    ],
    ['of too large a body', 413, 'body_too_large', async () => send(await post(`"${'x'.repeat(300_000)}"`))],
    [
      'of too large a body in chunks',
      413,
      'body_too_large',
      async () => send(await post(`"${'x'.repeat(300_000)}"`), true),
    ],
    [
      'signed for another host',
      421,
      'authority_unknown',
      async () => {
        const signed = await post('{}');
        return send({ ...signed, headers: [...signed.headers, ['host', 'other.example']] });
      },
    ],
  ];
  test.each(cases)('%s is refused with %i %s', async (_what, status, code, run) => {
    const answer = await run();
    expect(answer).toMatchObject({ status, document: { code, status } });
    expect(answer.type).toContain('application/problem+json');
    expect(answer.document.explanation).toBeUndefined();
    expect(refused.at(-1)?.code).toBe(code);
  });

  test('replayed is refused', async () => {
    const signed = await post('{"a":1}');
    expect((await send(signed)).status).toBe(200);
    expect(await send(signed)).toMatchObject({
      status: 401,
      document: { code: 'nonce_replayed', retryable: true },
    });
  });

  test('a caller reads the refusal by the SDK', async () => {
    const stale = signedFetch(signer, { now: () => Date.now() - 70_000 });
    const refusal = await readRefusal(await stale(`${server.origin}/`));
    expect(refusal).toMatchObject({
      status: 401,
      code: 'signature_too_old',
      retryable: true,
      requestId: null,
    });
  });

  test('a body that ends early reaches no handler, and the server goes on', async () => {
    const { headers, body } = await post(JSON.stringify({ text: 'x'.repeat(1_000) }));
    const before = refused.length;
    const socket = connect(Number(new URL(server.origin).port), '127.0.0.1');
    const fields = [
      ...headers,
      ['host', new URL(server.origin).host],
      ['content-length', String(body?.length)],
    ];
    const head = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    socket.on('error', () => undefined);
    socket.write(`POST /orders?id=7 HTTP/1.1\r\n${head}\r\n{"te`, () => socket.destroy());
    await until(() => refused.length > before, 'the refusal of a body that was cut off');
    expect(refused.at(-1)?.code).toBe('body_aborted');
    expect((await send(await post('{}'))).status).toBe(200);
  });
});
