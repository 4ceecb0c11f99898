/** An OpenID Connect provider on a socket of its own, whose answers a test can change while it runs. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type JWK, type JWTHeaderParameters, SignJWT } from 'jose';

export const AUDIENCE = 'sage';

export interface SigningKey {
  readonly kid: string;
  readonly privateKey: CryptoKey;
  readonly publicJwk: JWK;
}

export async function newKey(kid: string, alg = 'RS256'): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { kid, privateKey, publicJwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
}

export interface Issuer extends AsyncDisposable {
  readonly url: string;
  /** What the key set holds. */
  keys: JWK[];
  /** What discovery says; `answer` replaces whole answers by path. */
  discovery: Record<string, unknown>;
  answer:
    | ((path: string) => { status: number; headers?: Record<string, string>; body: string } | null)
    | null;
  /** Paths asked for. */
  readonly asked: string[];
}

export async function startIssuer(keys: readonly SigningKey[]): Promise<Issuer> {
  const server = createServer((request, response) => {
    const path = request.url ?? '';
    issuer.asked.push(path);
    const own = issuer.answer?.(path);
    if (own) {
      response.writeHead(own.status, own.headers).end(own.body);
      return;
    }
    const body = path === '/keys' ? { keys: issuer.keys } : issuer.discovery;
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const issuer: Issuer = {
    url,
    keys: keys.map(({ publicJwk }) => publicJwk),
    discovery: { issuer: url, jwks_uri: `${url}/keys` },
    answer: null,
    asked: [],
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return issuer;
}

export interface TokenChanges {
  readonly header?: Partial<JWTHeaderParameters>;
  /** `undefined` takes a claim away. */
  readonly claims?: Readonly<Record<string, unknown>>;
}

/** A token that is right in everything that is not changed. */
export function token(issuer: string, key: SigningKey, { header = {}, claims = {} }: TokenChanges = {}) {
  const now = Math.floor(Date.now() / 1_000);
  const payload = {
    iss: issuer,
    aud: AUDIENCE,
    sub: 'ann',
    iat: now,
    exp: now + 300,
    sage_role: 'operator',
    ...claims,
  };
  return new SignJWT(payload)
    .setProtectedHeader({ alg: 'RS256', kid: key.kid, typ: 'JWT', ...header })
    .sign(key.privateKey, header.crit === undefined ? {} : { crit: { b64: true, 'urn:test': true } });
}
