/** Logs of did:webvh: good ones by the library of the method's authors, bad ones by changing and sealing those anew. */
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import { base58btc } from 'multiformats/bases/base58';
import { type Identity, newIdentity } from './world.ts';

export type Json = Record<string, unknown>;
export type Log = Json[];

/** What is used of the library; its own declarations cannot be read with this project's settings. */
interface Library {
  createDID(options: Json): Promise<{ did: string; log: Log }>;
  updateDID(options: Json): Promise<{ log: Log }>;
  deactivateDID(options: Json): Promise<{ log: Log }>;
  deriveNextKeyHash(multikey: string): Promise<string>;
  prepareDataForSigning(document: unknown, proof: unknown): Promise<Uint8Array>;
  resolveDIDFromLog(
    log: Log,
    options: { verifier: Controller; witnessProofs: unknown[] },
  ): Promise<{ doc: Json | null; meta: { versionId: string; deactivated: boolean } }>;
}

/** Under `test` the library writes its logs to disk. */
async function load(): Promise<Library> {
  const before = process.env.NODE_ENV;
  process.env.NODE_ENV = 'production';
  try {
    return (await import('didwebvh-ts')) as unknown as Library;
  } finally {
    process.env.NODE_ENV = before;
  }
}
export const library = await load();

/** A key that may change a log, or witness it. */
export class Controller {
  readonly multikey: string;
  readonly privateKey: KeyObject;

  constructor(privateKey = generateKeyPairSync('ed25519').privateKey) {
    const publicKey = createPublicKey(privateKey);
    const x = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
    this.multikey = base58btc.encode(Buffer.concat([Buffer.of(0xed, 0x01), x]));
    this.privateKey = privateKey;
  }

  get did(): string {
    return `did:key:${this.multikey}`;
  }

  getVerificationMethodId(): string {
    return `${this.did}#${this.multikey}`;
  }

  async sign({ document, proof }: { document: unknown; proof: unknown }): Promise<{ proofValue: string }> {
    const data = await library.prepareDataForSigning(document, proof);
    return { proofValue: base58btc.encode(sign(null, data, this.privateKey)) };
  }

  async verify(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): Promise<boolean> {
    const x = Buffer.from(publicKey).toString('base64url');
    return verify(
      null,
      message,
      createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' }),
      signature,
    );
  }
}

export interface Choices {
  readonly domain?: string;
  readonly identities?: Readonly<Record<string, Identity>>;
  readonly updateKeys?: readonly Controller[];
  readonly next?: readonly Controller[];
  readonly witness?: Json;
  readonly portable?: boolean;
}

async function optionsOf(by: Controller, did: string, choices: Choices): Promise<Json> {
  const { identities, updateKeys, next, domain: _domain, ...rest } = choices;
  return {
    ...rest,
    signer: by,
    verifier: by,
    ...(updateKeys === undefined ? {} : { updateKeys: updateKeys.map(({ multikey }) => multikey) }),
    ...(next === undefined
      ? {}
      : { nextKeyHashes: await Promise.all(next.map((key) => library.deriveNextKeyHash(key.multikey))) }),
    ...(identities === undefined
      ? {}
      : {
          verificationMethods: Object.entries(identities).map(([fragment, { multikey }]) => ({
            id: `${did}#${fragment}`,
            type: 'Multikey',
            controller: did,
            purpose: 'authentication',
            publicKeyMultibase: base58btc.encode(multikey),
          })),
        }),
  };
}

/** A log of one entry. @param choices.domain as in the DID: a colon before a port is `%3A`, and `:` goes before a path */
export async function created(by: Controller, choices: Choices = {}): Promise<{ did: string; log: Log }> {
  const [domain = '', ...paths] = (choices.domain ?? 'agents.example').split(':');
  const did = `did:webvh:{SCID}:${[domain, ...paths].join(':')}`;
  const identities = { k: newIdentity() };
  const options = await optionsOf(by, did, { updateKeys: [by], identities, ...choices });
  return library.createDID({ ...options, domain, paths, created: '2025-01-01T00:00:00Z' });
}

/** The same log with one entry more, at noon of the day that its number says. */
export async function updated(log: Log, by: Controller, choices: Choices = {}): Promise<Log> {
  const options = await optionsOf(by, didOf(log), choices);
  return (await library.updateDID({ ...options, log, updated: dayOf(log.length + 1) })).log;
}

/** 12:00 UTC of that day of 2025. */
export const dayOf = (day: number): string =>
  `${new Date(Date.UTC(2025, 0, day, 12)).toISOString().slice(0, 19)}Z`;

export const linesOf = (log: Log): Buffer =>
  Buffer.from(`${log.map((entry) => JSON.stringify(entry)).join('\n')}\n`);

const part = (entry: Json | undefined, name: string): Json => (entry?.[name] ?? {}) as Json;
export const scidOf = (log: Log): string => String(part(log[0], 'parameters').scid);
const didOf = (log: Log): string => String(part(log.at(-1), 'state').id);

/** The canonical text, written for the tests. */
function jcs(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(jcs).join()}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const names = Object.keys(value).sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${jcs((value as Json)[name])}`).join()}}`;
}

function hashOf(value: unknown): string {
  const digest = createHash('sha256').update(jcs(value)).digest();
  return base58btc.encode(Buffer.concat([Buffer.of(0x12, 0x20), digest])).slice(1);
}

/** `entry` after `log`, its hash reckoned anew, signed by these. */
export async function sealed(log: Log, entry: Json, by: readonly Controller[]): Promise<Log> {
  const { proof: _proof, ...content } = entry;
  const previous = log.at(-1)?.versionId ?? scidOf([entry]);
  const versionId = `${log.length + 1}-${hashOf({ ...content, versionId: previous })}`;
  const document = { ...content, versionId };
  const proofs = await Promise.all(by.map((one) => proofBy(one, document)));
  return [...log, { ...document, proof: proofs }];
}

export async function proofBy(by: Controller, document: Json, more: Json = {}): Promise<Json> {
  const proof = {
    type: 'DataIntegrityProof',
    cryptosuite: 'eddsa-jcs-2022',
    verificationMethod: by.getVerificationMethodId(),
    created: '2025-01-01T00:00:00Z',
    proofPurpose: 'assertionMethod',
    ...more,
  };
  const hash = (value: unknown): Buffer => createHash('sha256').update(jcs(value)).digest();
  const proofValue = base58btc.encode(
    sign(null, Buffer.concat([hash(proof), hash(document)]), by.privateKey),
  );
  return { ...proof, proofValue };
}

/** did-witness.json, in which each of these approves a version. */
export async function witnessed(
  approvals: readonly (readonly [version: Json | undefined, by: Controller])[],
) {
  const sets = approvals.map(async ([entry, by]) => {
    const versionId = String(entry?.versionId);
    return { versionId, proof: [await proofBy(by, { versionId })] };
  });
  return Promise.all(sets);
}
