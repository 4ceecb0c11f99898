/** The published declarations, strictly, as bundlers and as Node resolve them, in browsers' projects and in servers'. */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type SdkFolder, sdkFolder } from './support/sdk-folder.ts';

const TSC = fileURLToPath(new URL('../../node_modules/typescript/bin/tsc', import.meta.url));
const PACK_TIMEOUT_MS = 240_000;

const CALLER = `
import {
  createNonceMemory, createSigner, createVerifier, didKeyOf, didKeyResolver, generateKeyPair, importPublicKey, type Jwk,
  type NonceStore, RequestRefused, readRefusal, SdkError, type Signer, signedFetch, signerFromEnv, signRequest,
  type VerifiedCaller, verifyRequest,
} from 'sage-gateway/sdk';

const { privateJwk, publicJwk, keyId } = await generateKeyPair('ecdsa-p256-sha256');
const signer: Signer = await createSigner({ privateKey: privateJwk, keyId });
const platforms = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
const exported: Jwk = await crypto.subtle.exportKey('jwk', platforms.publicKey);
await createSigner({ privateKey: platforms.privateKey });
const response: Response = await signedFetch(signer, { cover: ['x-tenant'] })('https://gateway.example/', { method: 'POST', body: 'x' });
const code: string | undefined = (await readRefusal(response))?.code;
const signed = await signRequest({ url: 'https://gateway.example/', headers: { accept: '*/*' } }, signer);
await fetch(signed.url, signed);
const request: Request = await signRequest(new Request('https://gateway.example/'), signer);
const nonces: NonceStore = createNonceMemory({ maxEntries: 10 });
const options = { origins: 'https://api.example', keys: { partner: publicJwk, other: exported }, resolveKey: didKeyResolver(), nonces };
const caller: VerifiedCaller = (await verifyRequest(request, options)).caller;
await createVerifier({ ...options, resolveKey: async (id) => (id === 'x' ? importPublicKey(publicJwk) : null) }).verify(signed);
const did: string = (await didKeyOf(publicJwk)).did;
const env: Record<string, string | undefined> = {};
await signerFromEnv(env, { readFile: async () => '' });
try {
  throw new SdkError('key_malformed');
} catch (error) {
  if (error instanceof RequestRefused) console.log(error.problem().status, error.code);
}
console.log(code, caller.did, did);
// @ts-expect-error: a signer without a key
await createSigner({ keyId });
// @ts-expect-error: nobody is served without saying under which origin
await verifyRequest(request, { resolveKey: didKeyResolver() });
// @ts-expect-error: an algorithm that does not exist
await generateKeyPair('rot13');
`;

const SERVERS = `
import express from 'express';
import fastify from 'fastify';
import { Hono } from 'hono';
import { didKeyResolver } from 'sage-gateway/sdk';
import { verifyCallers as inExpress } from 'sage-gateway/sdk/express';
import { verifyCallers as inFastify } from 'sage-gateway/sdk/fastify';
import { type CallerEnv, verifyCallers as inHono } from 'sage-gateway/sdk/hono';

const options = { origins: 'https://api.example', resolveKey: didKeyResolver(), explain: true };
const one = fastify();
await one.register(inFastify, options);
one.get('/', async (request): Promise<string> => request.caller?.did ?? 'nobody');
const two = express();
two.use(inExpress(options), express.json());
two.get('/', (req, res) => {
  res.json({ did: req.caller?.did });
});
const three = new Hono<CallerEnv>();
three.use(inHono(options));
three.get('/', (c) => c.text(c.get('caller').did ?? 'nobody'));
const plain = new Hono();
plain.use('/private/*', inHono({ ...options, onRefused: (refused) => console.log(refused.code) }));
`;

const BROWSER = { lib: ['es2022', 'dom', 'dom.iterable', 'dom.asynciterable'], types: [] as string[] };
const SERVER = { lib: ['es2024'], types: ['node'] };

let project: SdkFolder;
beforeAll(async () => {
  project = await sdkFolder();
  writeFileSync(join(project.folder, 'caller.ts'), CALLER);
  writeFileSync(join(project.folder, 'servers.ts'), SERVERS);
}, PACK_TIMEOUT_MS);
afterAll(() => project?.[Symbol.dispose]());

/** Faults in what we publish or in how it is used; those in other people's declarations are theirs. */
async function faults(file: string, options: Record<string, unknown>): Promise<string[]> {
  const compilerOptions = {
    strict: true,
    noEmit: true,
    target: 'es2022',
    skipLibCheck: false,
    ...options,
  };
  const config = join(project.folder, `tsconfig.${file}.json`);
  writeFileSync(config, JSON.stringify({ compilerOptions, files: [`${file}.ts`] }));
  try {
    await promisify(execFile)(process.execPath, [TSC, '-p', config, '--pretty', 'false'], {
      cwd: project.folder,
    });
    return [];
  } catch (error) {
    const text = String((error as { stdout?: unknown }).stdout ?? error);
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith(' '));
    return lines.filter((line) => /^(?:caller|servers)\.ts|sage-gateway\/dist|^error/.test(line));
  }
}

const RESOLUTIONS = [
  { module: 'esnext', moduleResolution: 'bundler' },
  { module: 'nodenext', moduleResolution: 'nodenext' },
] as const;

describe.each(RESOLUTIONS)('$moduleResolution', (resolution) => {
  test('a browser project reads the SDK', async () => {
    expect(await faults('caller', { ...resolution, ...BROWSER })).toEqual([]);
  });
  test('a server project reads the SDK, every strictness on', async () => {
    const strictest = {
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      isolatedModules: true,
    };
    expect(await faults('caller', { ...resolution, ...SERVER, ...strictest })).toEqual([]);
  });
  test('a server project reads the middleware', async () => {
    expect(await faults('servers', { ...resolution, ...SERVER })).toEqual([]);
  });
});

test('the check would see a fault', async () => {
  writeFileSync(join(project.folder, 'caller.ts'), `${CALLER}\nconst wrong: number = signer.keyId;\n`);
  expect(await faults('caller', { ...RESOLUTIONS[0], ...BROWSER })).toHaveLength(1);
});
