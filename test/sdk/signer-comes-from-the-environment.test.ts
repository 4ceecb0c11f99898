import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { type Environment, signerFromEnv } from '../../src/sdk/environment.ts';
import { SdkError } from '../../src/sdk/errors.ts';
import { generateKeyPair } from '../../src/sdk/signer.ts';
import { codeOf } from './support/parties.ts';

const folder = mkdtempSync(join(tmpdir(), 'sage-sdk-env-'));
afterAll(() => rmSync(folder, { recursive: true }));
const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const { privateJwk, keyId } = await generateKeyPair();
const file = join(folder, 'key.jwk');
writeFileSync(file, `${JSON.stringify(privateJwk)}\n`);

test.each<[string, Environment, string]>([
  ['a JWK in a file', { SAGE_PRIVATE_KEY_FILE: file }, keyId],
  [
    'a JWK in a variable',
    { SAGE_PRIVATE_KEY: JSON.stringify(privateJwk), SAGE_KEY_ALGORITHM: 'ed25519' },
    keyId,
  ],
  ['a PEM in a variable', { SAGE_PRIVATE_KEY: pem, SAGE_KEY_ID: 'partner-1' }, 'partner-1'],
  [
    'a PEM on one line',
    { SAGE_PRIVATE_KEY: pem.replaceAll('\n', '\\n'), SAGE_KEY_ID: 'partner-1' },
    'partner-1',
  ],
  [
    'an empty variable beside it',
    { SAGE_PRIVATE_KEY_FILE: file, SAGE_PRIVATE_KEY: '', SAGE_KEY_ID: '' },
    keyId,
  ],
])('%s', async (_what, env, name) => {
  expect((await signerFromEnv(env)).keyId).toBe(name);
});

test('a file may be read by something else', async () => {
  const readFile = (path: string) => Promise.resolve(path === 'secret:key' ? JSON.stringify(privateJwk) : '');
  expect((await signerFromEnv({ SAGE_PRIVATE_KEY_FILE: 'secret:key' }, { readFile })).keyId).toBe(keyId);
});

test.each<[string, string, Environment]>([
  ['env_missing', 'SAGE_PRIVATE_KEY_FILE or SAGE_PRIVATE_KEY', {}],
  ['env_conflict', 'SAGE_PRIVATE_KEY and', { SAGE_PRIVATE_KEY: pem, SAGE_PRIVATE_KEY_FILE: file }],
  ['env_invalid', 'SAGE_KEY_ID', { SAGE_PRIVATE_KEY: pem, SAGE_KEY_ID: 7 }],
  ['file_unreadable', '/nowhere.pem', { SAGE_PRIVATE_KEY_FILE: join(folder, 'nowhere.pem') }],
  ['algorithm_unsupported', 'not secp256k1', { SAGE_PRIVATE_KEY: pem, SAGE_KEY_ALGORITHM: 'secp256k1' }],
  ['keyid_mismatch', 'the key is did:key:', { SAGE_PRIVATE_KEY: pem, SAGE_KEY_ID: keyId }],
])('%s names %s', async (code, text, env) => {
  expect(await codeOf(signerFromEnv(env))).toBe(code);
  const error: unknown = await signerFromEnv(env).catch((caught: unknown) => caught);
  expect(error instanceof SdkError ? error.message : '').toContain(text);
});
