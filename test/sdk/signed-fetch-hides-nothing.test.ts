/** One call is one signed request: redirects are signed anew or refused, and nothing is sent twice. */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { didKeyResolver } from '../../src/sdk/did.ts';
import { createNonceMemory } from '../../src/sdk/nonces.ts';
import { signRequest } from '../../src/sdk/sign.ts';
import { type SignedFetchOptions, signedFetch } from '../../src/sdk/signed-fetch.ts';
import type { Signer } from '../../src/sdk/signer.ts';
import { createVerifier, type Verifier } from '../../src/sdk/verify.ts';
import { codeOf, newParty } from './support/parties.ts';

interface Seen {
  readonly method: string;
  readonly path: string;
  readonly nonce: string;
  readonly body: string;
  readonly type: string | undefined;
}

let server: Server;
let origin: string;
let elsewhere: string;
let verifier: Verifier;
let signer: Signer;
const seen: Seen[] = [];

async function bodyOf(request: IncomingMessage): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return new Uint8Array(Buffer.concat(chunks));
}

/** `/to/<status>?<where>` redirects; everything is verified first. */
async function answer(request: IncomingMessage): Promise<[status: number, location: string | undefined]> {
  const { method = '', url = '', headers } = request;
  const body = await bodyOf(request);
  const nonce = /nonce="([^"]+)"/.exec(String(headers['signature-input']))?.[1] ?? '';
  const fields = Object.entries(headers).map(([name, value]): [string, string] => [name, String(value)]);
  await verifier.verify({ method, url, headers: fields, body });
  seen.push({ method, path: url, nonce, body: Buffer.from(body).toString(), type: headers['content-type'] });
  const redirect = /^\/to\/(\d+)\?(.*)$/.exec(url);
  return redirect === null ? [200, undefined] : [Number(redirect[1]), redirect[2]];
}

beforeAll(async () => {
  signer = (await newParty()).signer;
  server = createServer((request, response) => {
    answer(request).then(
      ([status, location]) =>
        response.writeHead(status, location === undefined ? {} : { location }).end('ok'),
      () => response.writeHead(401).end('refused'),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  origin = `http://127.0.0.1:${port}`;
  elsewhere = `http://localhost:${port}`;
  verifier = createVerifier({
    origins: [origin, elsewhere],
    resolveKey: didKeyResolver(),
    nonces: createNonceMemory({ noEarlierProcess: true }),
  });
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

async function call(path: string, init?: RequestInit, options?: SignedFetchOptions): Promise<Response> {
  seen.length = 0;
  return signedFetch(signer, options)(origin + path, init);
}

describe('bodies', () => {
  const stream = (): ReadableStream<Uint8Array> =>
    new ReadableStream({
      start(controller) {
        for (const part of ['one ', 'two ', 'three']) controller.enqueue(new TextEncoder().encode(part));
        controller.close();
      },
    });
  const form = new FormData();
  form.set('name', 'value');
  const bodies: [string, NonNullable<RequestInit['body']>, RegExp, RegExp][] = [
    ['a string', 'text', /^text$/, /^text\/plain/],
    ['bytes', new TextEncoder().encode('bytes'), /^bytes$/, /^undefined$/],
    ['a Blob', new Blob(['blob'], { type: 'a/b' }), /^blob$/, /^a\/b$/],
    ['URLSearchParams', new URLSearchParams({ a: '1 2' }), /^a=1\+2$/, /^application\/x-www-form-urlencoded/],
    ['a form', form, /name="name"\s+value/, /^multipart\/form-data; ?boundary=/],
    ['a stream', stream(), /^one two three$/, /^undefined$/],
  ];
  test.each(bodies)('%s is signed as it is sent', async (_what, body, text, type) => {
    expect((await call('/', { method: 'POST', body })).status).toBe(200);
    expect(seen[0]?.body).toMatch(text);
    expect(String(seen[0]?.type)).toMatch(type);
  });

  test('a stream that is longer than may be held is not sent', async () => {
    const sending = call('/', { method: 'POST', body: stream() }, { maxBodyBytes: 12 });
    expect(await codeOf(sending)).toBe('body_too_large_to_sign');
    expect(seen).toEqual([]);
  });

  test('a stream that fails is not sent', async () => {
    const body = new ReadableStream({ pull: (controller) => controller.error(new Error('disk')) });
    expect(await codeOf(call('/', { method: 'POST', body }))).toBe('body_unsignable');
    expect(seen).toEqual([]);
  });

  test('a Request is sent as it is', async () => {
    seen.length = 0;
    const request = new Request(`${origin}/put`, {
      method: 'PUT',
      body: 'x',
      headers: { 'x-tenant': 'blue' },
    });
    expect((await signedFetch(signer, { cover: ['x-tenant'] })(request)).status).toBe(200);
    expect(seen).toMatchObject([{ method: 'PUT', path: '/put', body: 'x' }]);
  });
});

describe('redirects', () => {
  test.each([307, 308])('%i to the same origin is signed anew, body and all', async (status) => {
    expect((await call(`/to/${status}?/there`, { method: 'POST', body: 'x' })).status).toBe(200);
    expect(seen.map(({ method, body }) => [method, body])).toEqual([
      ['POST', 'x'],
      ['POST', 'x'],
    ]);
    expect(new Set(seen.map(({ nonce }) => nonce)).size).toBe(2);
  });

  test.each([301, 302, 303])('%i turns a POST into a GET without a body', async (status) => {
    const init = { method: 'POST', body: 'x', headers: { 'content-type': 'text/plain' } };
    expect((await call(`/to/${status}?/there`, init)).status).toBe(200);
    expect(seen[1]).toMatchObject({ method: 'GET', path: '/there', body: '', type: undefined });
  });

  test('to another origin is refused, and nothing is sent there', async () => {
    expect(await codeOf(call(`/to/307?${elsewhere}/there`))).toBe('redirect_refused');
    expect(seen).toHaveLength(1);
  });

  test('in a circle ends', async () => {
    expect(await codeOf(call('/to/302?/to/302?/to/302?/to/302?/to/302?/to/302?/x'))).toBe(
      'redirects_too_many',
    );
    expect(seen).toHaveLength(6);
  });

  test("is given back with redirect: 'manual', and refused with 'error'", async () => {
    const response = await call('/to/302?/there', { redirect: 'manual' });
    expect([response.status, response.headers.get('location')]).toEqual([302, '/there']);
    expect(await codeOf(call('/to/302?/there', { redirect: 'error' }))).toBe('redirect_refused');
  });
});

test('a refusal is given back, and not tried again', async () => {
  let sent = 0;
  const counting: typeof fetch = (input, init) => {
    sent += 1;
    return fetch(input, init);
  };
  const response = await call('/', {}, { fetch: counting, now: () => Date.now() - 70_000 });
  expect([response.status, sent]).toEqual([401, 1]);
});

test('a call that is given up is given up', async () => {
  const signal = AbortSignal.abort(new Error('no longer wanted'));
  await expect(call('/', { signal })).rejects.toThrow('no longer wanted');
  expect(seen).toEqual([]);
});

test.each(['ftp://host/', 'not a url', 'http://user:secret@host/'])(
  '%s is refused before it is signed',
  async (url) => {
    await expect(signedFetch(signer)(url)).rejects.toThrow();
  },
);

test('a call that is given up while its body is read is given up', async () => {
  let cancelled = false;
  const body = new ReadableStream({
    start: (controller) => controller.enqueue(new Uint8Array(1)),
    cancel: () => {
      cancelled = true;
    },
  });
  const controller = new AbortController();
  const calling = call('/', { method: 'POST', body, signal: controller.signal });
  controller.abort(new Error('no longer wanted'));
  await expect(calling).rejects.toThrow('no longer wanted');
  expect([cancelled, seen]).toEqual([true, []]);
});

test.each(['patch', 'GeT x', ''])('the method %j is refused before it is signed', async (method) => {
  await expect(call('/', { method })).rejects.toThrow();
  expect(seen).toEqual([]);
});

test('a method that fetch would put in upper case is signed so', async () => {
  const signed = await signRequest({ method: 'post', url: `${origin}/`, body: 'x' }, signer);
  expect(signed.method).toBe('POST');
  expect((await fetch(signed.url, { ...signed, method: 'post' })).status).toBe(200);
});
