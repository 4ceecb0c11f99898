import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { type Environment, signerFromEnv, verifierOptionsFromEnv } from '../../src/sdk/environment.ts';
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

test('a verifier is described by variables too', () => {
  const env = {
    SAGE_ORIGINS: 'https://api.example, https://api.example:8443',
    SAGE_SIGNATURE_MAX_AGE_SECONDS: '30',
    SAGE_CLOCK_SKEW_SECONDS: '',
    SAGE_MAX_BODY_BYTES: '2048',
  };
  expect(verifierOptionsFromEnv(env)).toEqual({
    origins: ['https://api.example', 'https://api.example:8443'],
    maxAgeSeconds: 30,
    maxBodyBytes: 2_048,
  });
});

test.each<[string, string, Environment]>([
  ['env_missing', 'SAGE_ORIGINS', {}],
  ['env_invalid', 'SAGE_ORIGINS', { SAGE_ORIGINS: 'api.example' }],
  ['env_invalid', 'SAGE_ORIGINS', { SAGE_ORIGINS: 'https://api.example,' }],
  [
    'env_invalid',
    'SAGE_CLOCK_SKEW_SECONDS, SAGE_MAX_BODY_BYTES',
    { SAGE_ORIGINS: 'https://a.example', SAGE_CLOCK_SKEW_SECONDS: '-1', SAGE_MAX_BODY_BYTES: '1MB' },
  ],
])('of a verifier, %s names %s', (code, text, env) => {
  let error: unknown;
  try {
    verifierOptionsFromEnv(env);
  } catch (caught) {
    error = caught;
  }
  expect(error).toMatchObject({ code, message: expect.stringContaining(text) });
});
