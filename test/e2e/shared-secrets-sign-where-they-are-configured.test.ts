/** `shared_keys`: HMAC-SHA256 for callers whom the operator gave a secret. */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { hmacSigningKey } from '../../src/trust/keys/signing.ts';
import { ALLOW_ALL, makeFolder, openGateway, type TestGateway, until } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { newCaller, signed } from './support/callers.ts';
import { send, TRANSPORTS } from './support/clients.ts';

const KEYID = 'did:web:partner.example#hmac-1';
const secret = randomBytes(32);
const folder = makeFolder();
let agent: TestAgent;
let gateway: TestGateway;
const files = (more: string) => ({
  agents: [`{ id: echo, upstreams: ["${agent.url}"] }`],
  policy: ALLOW_ALL,
  more,
});

beforeAll(async () => {
  writeFileSync(join(folder, 'partner.key'), `${secret.toString('base64')}\n`);
  agent = await startAgent();
  gateway = await openGateway({
    ...files(`shared_keys: [{ keyid: "${KEYID}", secret_file: ./partner.key }]`),
    folder,
  });
});
afterAll(async () => {
  await gateway.close();
  await agent.stop();
});

const by = (bytes: Uint8Array, keyId = KEYID) => ({ signer: { keyId, key: hmacSigningKey(bytes) } });
const ask = (caller: ReturnType<typeof by>, transport: (typeof TRANSPORTS)[number] = 'http/1.1') =>
  send(
    gateway,
    signed(caller, gateway.origin, { method: 'POST', target: '/agents/echo/', body: Buffer.from('{}') }),
    transport,
  );

test.each(TRANSPORTS)('over %s whoever has the secret is the DID', async (transport) => {
  expect(await ask(by(secret), transport)).toMatchObject({ status: 200 });
  expect(agent.seen.at(-1)?.headers).toMatchObject({
    'x-sage-verified-did': 'did:web:partner.example',
    'x-sage-key-id': KEYID,
  });
});

test('another secret is nobody, and the secret signs under its own name alone', async () => {
  expect((await ask(by(randomBytes(32)))).code).toBe('signature_invalid');
  const { did, signer } = newCaller();
  expect((await ask(by(secret, signer.keyId))).code).toBe('algorithm_mismatch');
  expect((await ask(by(secret, `${did}#hmac-1`))).code).toBe('key_unknown');
});

test('the secret is in no line of the log, and a bad one is a fault of the file that names no path', async () => {
  const text = secret.toString('base64');
  expect(JSON.stringify(gateway.lines)).not.toContain(text.slice(0, 20));
  writeFileSync(join(folder, 'short.key'), 'c2hvcnQ=');
  gateway.configure(
    files(
      `shared_keys: [{ keyid: "${KEYID}", secret_file: ./short.key }, { keyid: "${KEYID}", secret_file: ./gone.key }]`,
    ),
  );
  const line = await until(
    () => gateway.lines.find(({ msg }) => msg === 'configuration refused'),
    'the file is refused',
  );
  expect(String(line.fault)).toMatch(/too short/);
  expect(String(line.fault)).toMatch(/cannot be read: ENOENT/);
  expect(String(line.fault)).not.toContain(`${folder}/short.key`);
  expect(await ask(by(secret))).toMatchObject({ status: 200 });
});

test('a key that is struck from the file signs nothing more', async () => {
  gateway.configure(files(''));
  await until(async () => (await ask(by(secret))).status !== 200, 'the key is gone');
  // Nobody fetches the document of a host that is none.
  expect((await ask(by(secret))).code).toMatch(/^did_|^key_/);
});
