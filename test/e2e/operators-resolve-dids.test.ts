/** `GET /1.0/identifiers/{did}` over a socket, for each class of methods. */
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { encodeDidKey } from '../../src/trust/did/did-key.ts';
import { publishedKeys } from '../../src/trust/did/published-document.ts';
import { openGateway, type TestGateway } from '../support/gateway.ts';
import { startChain, type TestChain } from '../trust/chain/fixture.ts';
import { registerCaller, settle } from './support/callers.ts';
import { DEVELOPMENT, type DidHost, hostedCaller, startDidHost } from './support/did-host.ts';
import { OPERATOR_KEY, type OperatorAnswer, operate } from './support/operator.ts';

let chain: TestChain;
let host: DidHost;
let gateway: TestGateway;

beforeAll(async () => {
  chain = await startChain();
  host = await startDidHost();
  gateway = await openGateway({
    agents: [],
    more: `chains: [{ id: 31337, registries: [{ address: "${chain.registry}" }] }]`,
    env: { ...DEVELOPMENT, OPERATOR_API_KEY: OPERATOR_KEY, CHAIN_RPC_URLS: chain.anvil.wsUrl },
    atOnce: true,
  });
});
afterAll(async () => {
  await gateway.close();
  await host[Symbol.asyncDispose]();
  await chain[Symbol.asyncDispose]();
});

const resolve = (did: string, accept = 'application/did-resolution'): Promise<OperatorAnswer> =>
  operate(gateway, 'GET', `/1.0/identifiers/${encodeURIComponent(did)}`, { headers: { accept } });

test('a did:key, whose document is written from its name', async () => {
  const did = encodeDidKey(createPublicKey(generateKeyPairSync('ed25519').privateKey));
  const { status, headers, body } = await resolve(did);
  expect(status).toBe(200);
  expect(headers.get('content-type')).toBe('application/did-resolution');
  expect(headers.get('cache-control')).toBe('no-store');
  const multibase = did.slice('did:key:'.length);
  expect(body.didDocument).toMatchObject({
    id: did,
    verificationMethod: [
      { id: `${did}#${multibase}`, controller: did, type: 'Multikey', publicKeyMultibase: multibase },
    ],
    authentication: [`${did}#${multibase}`],
  });
  expect(body.didResolutionMetadata).toEqual({ contentType: 'application/did' });
  expect(body.didDocumentMetadata).toEqual({});
  // What is written is read back as the same key.
  expect(publishedKeys(body.didDocument, did)).toHaveLength(1);
});

test.each(['application/did', 'application/did+json', 'application/did+ld+json'])(
  'the document alone as %s',
  async (type) => {
    const did = encodeDidKey(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey);
    const { status, headers, body } = await resolve(did, `text/html, ${type};q=0.9, */*`);
    expect([status, headers.get('content-type'), body.id]).toEqual([200, type, did]);
  },
);

test('an agent of a registry, with the block it was read at', async () => {
  const { did, signer } = await registerCaller(chain);
  await settle(chain.anvil);
  const { status, body } = await resolve(did);
  expect(status).toBe(200);
  expect(body.didDocument.authentication).toEqual([signer.keyId]);
  expect(Number(body.didDocumentMetadata.versionId)).toBeGreaterThan(0);
});

test('a did:web as its host publishes it, whatever else stands in it', async () => {
  const { did, multikey } = hostedCaller(host.did('alice'));
  host.publish('alice', { 'key-1': multikey });
  const { status, body } = await resolve(did);
  expect(status).toBe(200);
  expect(body.didDocument.verificationMethod[0].publicKeyMultibase).toBe(multikey);
  host.put(
    '/bob/did.json',
    JSON.stringify({ id: host.did('bob'), deactivated: true, service: [{ id: '#s' }] }),
  );
  const gone = await resolve(host.did('bob'));
  expect(gone.status).toBe(410);
  expect(gone.body.didDocumentMetadata).toEqual({ deactivated: true });
  expect(gone.body.didDocument.service).toEqual([{ id: '#s' }]);
});

test('an account by did:pkh, in its one spelling', async () => {
  const did = `did:pkh:eip155:10:0x${'Ab'.repeat(20)}`;
  const { status, body } = await resolve(did);
  expect(status).toBe(200);
  expect(body.didDocument.id).toBe(did.toLowerCase());
  expect(body.didDocument.verificationMethod[0]).toMatchObject({
    type: 'EcdsaSecp256k1RecoveryMethod2020',
    blockchainAccountId: `eip155:10:0x${'ab'.repeat(20)}`,
  });
});

test.each([
  ['no DID', 'hello', 400, 'INVALID_DID'],
  ['a DID URL', 'did:key:z6MkpTHR8VNsBxYAAWHut2Geadd9jSwuBV8xRoAnwWsdvktH#x', 400, 'INVALID_DID'],
  ['a path', 'did:web:example.com/a', 400, 'INVALID_DID'],
  ['another method', 'did:example:123', 501, 'METHOD_NOT_SUPPORTED'],
  ['a registry of nobody here', `did:sage:eip155:31337:0x${'ab'.repeat(20)}:1`, 501, 'METHOD_NOT_SUPPORTED'],
])('%s: %s is answered %i', async (_what, did, status, name) => {
  const answer = await resolve(did);
  expect([answer.status, answer.body.didDocument]).toEqual([status, null]);
  expect(answer.body.didResolutionMetadata.error).toMatchObject({
    type: `https://www.w3.org/ns/did#${name}`,
  });
});

test('who is not there is not found, and who cannot be asked is no absence', async () => {
  expect((await resolve(`did:sage:eip155:31337:${chain.registry.toLowerCase()}:999`)).status).toBe(404);
  expect((await resolve(host.did('nobody'))).status).toBe(404);
  host.away = true;
  const { status, body } = await resolve(host.did('carol'));
  host.away = false;
  expect(status).toBe(500);
  expect(body.didResolutionMetadata.error.type).toBe('https://www.w3.org/ns/did#INTERNAL_ERROR');
});

test('a representation that there is none of: 406', async () => {
  const { status, body } = await resolve('did:example:1', 'text/html');
  expect([status, body.didResolutionMetadata.error.title]).toEqual([406, 'Representation not supported']);
});

test('opened, everybody is resolved for, each address up to its limits', async () => {
  const open = await openGateway({
    agents: [],
    env: {
      IDENTIFIERS_OPEN: 'true',
      NEW_CALLERS_PER_ADDRESS_PER_MINUTE: '3',
      OPERATOR_API_KEY: OPERATOR_KEY,
    },
  });
  await using _closing = { [Symbol.asyncDispose]: () => open.close() };
  const path = '/1.0/identifiers/did:key:z6MkpTHR8VNsBxYAAWHut2Geadd9jSwuBV8xRoAnwWsdvktH';
  const ask = () => operate(open, 'GET', path, { key: null });
  for (let at = 0; at < 3; at += 1) expect((await ask()).status).toBe(200);
  const { status, headers, body } = await ask();
  expect([status, body.code]).toEqual([429, 'new_callers_limited']);
  expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
  // The routes beside it stay what they were.
  expect((await operate(open, 'GET', '/metrics', { key: null })).status).toBe(401);
});

test('strangers are not resolved for', async () => {
  const path = '/1.0/identifiers/did:key:z6MkpTHR8VNsBxYAAWHut2Geadd9jSwuBV8xRoAnwWsdvktH';
  expect((await operate(gateway, 'GET', path, { key: 'wrong-key-of-at-least-32-characters!!' })).status).toBe(
    401,
  );
  expect((await operate(gateway, 'GET', path, { key: null })).status).toBe(401);
});
