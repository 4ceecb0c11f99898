/** The same few calls wherever JavaScript runs; plain, because browsers, Deno, Bun and Node all load this very file. */

const OWN_ORIGIN = 'https://own.example';
const ALGORITHMS = ['ed25519', 'ecdsa-p256-sha256', 'ecdsa-p384-sha384', 'rsa-pss-sha512', 'hmac-sha256'];

async function codeOf(promise) {
  try {
    await promise;
    return 'none';
  } catch (error) {
    return error.code ?? `${error.name}: ${error.message}`;
  }
}

async function newSigner(sdk, algorithm) {
  if (algorithm === 'hmac-sha256') {
    const secret = { kty: 'oct', k: 'c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldC0' };
    return { signer: await sdk.createSigner({ privateKey: secret, keyId: 'partner' }), publicKey: secret };
  }
  const { privateJwk, publicJwk } = await sdk.generateKeyPair(algorithm);
  return { signer: await sdk.createSigner({ privateKey: privateJwk }), publicKey: publicJwk };
}

/** Signs and verifies without a network. */
async function alone(sdk, algorithm) {
  const { signer, publicKey } = await newSigner(sdk, algorithm);
  const options = {
    origins: OWN_ORIGIN,
    keys: algorithm === 'hmac-sha256' ? { partner: publicKey } : {},
    resolveKey: sdk.didKeyResolver(),
    nonces: sdk.createNonceMemory({ noEarlierProcess: true }),
  };
  const request = new Request(`${OWN_ORIGIN}/a?b=%C3%A9`, { method: 'POST', body: '{"유니":"코드"}' });
  const signed = await sdk.signRequest(request, signer);
  const again = signed.clone();
  const { caller, body } = await sdk.verifyRequest(signed, options);
  const tampered = new Request(`${OWN_ORIGIN}/b`, { headers: again.headers });
  return [
    caller.algorithm,
    new TextDecoder().decode(body),
    await codeOf(sdk.verifyRequest(tampered, options)),
    await codeOf(sdk.verifyRequest(again, options)),
  ];
}

/** Calls a real gateway. */
async function throughGateway(sdk, origin, algorithm) {
  const { signer } = await newSigner(sdk, algorithm);
  const fetching = sdk.signedFetch(signer);
  const got = await fetching(`${origin}/agents/echo/get?x=%20`);
  // Runtimes differ in whether they send a question mark that nothing follows.
  const bare = await fetch(await sdk.signRequest(new Request(`${origin}/agents/echo/get?#x`), signer));
  const init = { method: 'POST', body: '{"a":1}', headers: { 'content-type': 'application/json' } };
  const posted = await fetching(`${origin}/agents/echo/post`, init);
  const once = await sdk.signRequest({ url: `${origin}/agents/echo/once` }, signer);
  const first = await fetch(once.url, once);
  const second = await fetch(once.url, once);
  return [got.status, bare.status, posted.status, first.status, (await sdk.readRefusal(second))?.code];
}

/** @returns what every runtime must say alike */
export async function story(sdk, origin) {
  const own = {};
  for (const algorithm of ALGORITHMS) own[algorithm] = await alone(sdk, algorithm);
  const gateway = {};
  for (const algorithm of ALGORITHMS.slice(0, -1))
    gateway[algorithm] = await throughGateway(sdk, origin, algorithm);
  const { signer } = await newSigner(sdk, 'ed25519');
  const redirected = codeOf(sdk.signedFetch(signer)(`${origin}/agents/echo/redirect`));
  const stream = new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode('streamed'));
      controller.close();
    },
  });
  const streamed = await sdk.signedFetch(signer)(`${origin}/agents/echo/stream`, {
    method: 'PUT',
    body: stream,
  });
  return { own, gateway, redirect: await redirected, streamed: streamed.status };
}
