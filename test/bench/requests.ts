/** Prepares whole requests as bytes before a pass, so that the load costs the machine as little as it can. */
import { createPrivateKey, type webcrypto } from 'node:crypto';
import { signingKey } from '../../src/trust/keys/signing.ts';
import { signRequest } from '../../src/trust/sign-request.ts';

export interface RequestPlan {
  /** Path with query. */
  readonly path: string;
  /** Ed25519 private JWK and the key id to sign with; absent for unsigned requests. */
  readonly signer?: { readonly jwk: webcrypto.JsonWebKey; readonly keyId: string };
}

const HEADERS: readonly (readonly [string, string])[] = [
  ['accept', 'application/json'],
  ['user-agent', 'sage-bench/1'],
  ['x-tenant', 'bench'],
];
let nonceCounter = 0;

function serialise(path: string, port: number, headers: readonly (readonly [string, string])[]): Buffer {
  const lines = [
    `GET ${path} HTTP/1.1`,
    `host: 127.0.0.1:${port}`,
    ...headers.map(([name, value]) => `${name}: ${value}`),
  ];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}

const repeated = (request: Buffer, count: number): Buffer[] => Array.from({ length: count }, () => request);

/** `count` requests; signed ones cover five components and carry a nonce of their own each. */
export function prepareRequests(plan: RequestPlan, count: number, port: number): Buffer[] {
  if (plan.signer === undefined) return repeated(serialise(plan.path, port, HEADERS), count);
  const key = signingKey(createPrivateKey({ key: plan.signer.jwk, format: 'jwk' }));
  const url = new URL(`http://127.0.0.1:${port}${plan.path}`);
  const created = Math.floor(Date.now() / 1_000);
  const prefix = `${process.pid}-${created}-`;
  return Array.from({ length: count }, () => {
    const headers = signRequest(
      { method: 'GET', url, headers: HEADERS, cover: ['accept', 'user-agent', 'x-tenant'] },
      { keyId: plan.signer!.keyId, key },
      { created, nonce: `${prefix}${nonceCounter++}` },
    );
    return serialise(plan.path, port, headers);
  });
}
