import { connect } from 'node:http2';
import type { AddressInfo } from 'node:net';
import fastify from 'fastify';
import { expect, test } from 'vitest';
import { didKeyResolver } from '../../src/sdk/did.ts';
import { verifyCallers } from '../../src/sdk/fastify.ts';
import { createNonceMemory } from '../../src/sdk/nonces.ts';
import { signRequest } from '../../src/sdk/sign.ts';
import { newParty } from './support/parties.ts';

test('requests over HTTP/2 are verified, with and without a body', async () => {
  const { signer } = await newParty();
  const app = fastify({ http2: true });
  const origin = () => `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  const nonces = createNonceMemory({ noEarlierProcess: true });
  await app.register(verifyCallers, { origins: origin, resolveKey: didKeyResolver(), nonces });
  app.all('/*', async (request) => ({ did: request.caller?.did, body: request.body ?? null }));
  await app.listen({ port: 0, host: '127.0.0.1' });
  const session = connect(origin());

  const call = async (body: string | undefined, sent = body): Promise<{ status: number; text: string }> => {
    const method = body === undefined ? 'GET' : 'POST';
    const fields = { 'content-type': 'application/json' };
    const signed = await signRequest({ method, url: `${origin()}/a?b=c`, headers: fields, body }, signer);
    const stream = session.request({
      ':method': method,
      ':path': '/a?b=c',
      ...Object.fromEntries(signed.headers),
    });
    stream.end(sent);
    const status = await new Promise<number>((resolve) =>
      stream.on('response', (headers) => resolve(Number(headers[':status']))),
    );
    let text = '';
    for await (const chunk of stream) text += String(chunk);
    return { status, text };
  };

  const did = signer.keyId.split('#')[0];
  expect(await call(undefined)).toEqual({ status: 200, text: JSON.stringify({ did, body: null }) });
  expect(await call('{"a":1}')).toEqual({ status: 200, text: JSON.stringify({ did, body: { a: 1 } }) });
  const tampered = await call('{"a":1}', '{"a":2}');
  expect(tampered.status).toBe(401);
  expect(JSON.parse(tampered.text)).toMatchObject({ code: 'digest_mismatch' });
  session.close();
  await app.close();
});
