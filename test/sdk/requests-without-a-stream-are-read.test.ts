/** Firefox has no `Request.body`; what it made itself is read whole and then bounded. */
import { expect, test } from 'vitest';
import { signRequest } from '../../src/sdk/sign.ts';
import { verifyRequest } from '../../src/sdk/verify.ts';
import { codeOf, NOW, newParty, ORIGIN, serverOptions } from './support/parties.ts';

const now = () => NOW;

function withoutStream(request: Request): Request {
  return Object.defineProperty(request, 'body', { value: undefined });
}

test('with a body and without one, they are signed and verified', async () => {
  const { signer } = await newParty();
  for (const body of ['{"a":1}', null]) {
    const request = withoutStream(new Request(`${ORIGIN}/`, { method: 'POST', body }));
    const signed = withoutStream(await signRequest(request, signer, { now }));
    expect(signed.headers.has('content-digest')).toBe(body !== null);
    const proven = await verifyRequest(signed, serverOptions());
    expect(proven.body === null ? null : new TextDecoder().decode(proven.body)).toBe(body);
  }
});

test('a body that was changed or is too long is refused', async () => {
  const { signer } = await newParty();
  const { url, headers } = await signRequest({ method: 'POST', url: `${ORIGIN}/`, body: 'one' }, signer, {
    now,
  });
  const send = (body: string) => withoutStream(new Request(url, { method: 'POST', headers, body }));
  expect(await codeOf(verifyRequest(send('two'), serverOptions()))).toBe('digest_mismatch');
  expect(await codeOf(verifyRequest(send('one'), serverOptions({ maxBodyBytes: 2 })))).toBe('body_too_large');
  const large = withoutStream(new Request(url, { method: 'POST', body: 'one' }));
  expect(await codeOf(signRequest(large, signer, { maxBodyBytes: 2 }))).toBe('body_too_large_to_sign');
});
