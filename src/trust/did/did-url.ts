import { DidError } from './errors.ts';
import type { ContractKind } from './ports.ts';
import { parseWebName, type WebName } from './web-name.ts';

/** Longest keyid looked at. The longest of use, a did:jwk with an RSA-2048 key, takes about 508. */
const KEYID_BYTES_MAX = 512;
/** Longest fragment: that of a did:key with a P-384 key takes 71. */
const FRAGMENT_BYTES_MAX = 128;

type DidMethod = 'key' | 'jwk' | 'pkh' | 'ethr' | 'sage' | 'web' | 'webvh';

/** What an identifier says of where its keys stand on a chain; the configuration says the rest. */
export interface SubjectName {
  readonly kind: ContractKind;
  /** EIP-155 chain id; null when the identifier has a name for its network instead. */
  readonly chainId: number | null;
  /** 0x-address of the contract, lower case; null when the identifier does not say. */
  readonly contract: string | null;
  /** What the contract knows it by: the token id of an agent in decimal, for one. */
  readonly id: string;
}

/** How a method's keys are found, and so what vouches for them. */
export type MethodClass = 'offline' | 'chain' | 'web' | 'directory' | 'configured';

const CLASS_OF: Readonly<Record<DidMethod, MethodClass>> = {
  key: 'offline',
  jwk: 'offline',
  pkh: 'offline',
  ethr: 'chain',
  sage: 'chain',
  web: 'web',
  webvh: 'web',
};

/** Whether the keys of a DID stand on a chain, so that what is said of all of a chain may be said of it. */
export function isOnChain(did: string): boolean {
  return CLASS_OF[did.split(':', 2)[1] as DidMethod] === 'chain';
}

/** A keyid that has been read: canonical, so that equal keys have equal names. */
export interface ParsedKeyId {
  /** The keyid as sent, which is its only spelling. */
  readonly text: string;
  readonly did: string;
  readonly method: DidMethod;
  /** Null for a bare DID, which names a key only when the document holds exactly one that fits. */
  readonly fragment: string | null;
  readonly methodClass: MethodClass;
  /** Set for the methods that live on a chain, else null. */
  readonly subject: SubjectName | null;
  /** Set for the methods whose documents are fetched from a host, else null. */
  readonly site: WebName | null;
}

// DID syntax, W3C DID Core 1.0, section 3.1. Percent-encoding would give one key several names; the methods of the web
// need it for the colon before a port, and each method's own grammar refuses the rest.
const DID_URL = /^did:([a-z0-9]+):((?:[A-Za-z0-9._%-]*:)*[A-Za-z0-9._%-]+)(?:#([A-Za-z0-9._~-]+))?$/;
// A did:key in base58btc (`z`); the optional version of the draft (`did:key:1.1:z…`) would be a second name.
const KEY_ID = /^z[1-9A-HJ-NP-Za-km-z]+$/;
const JWK_ID = /^[A-Za-z0-9_-]+$/;
// did:pkh of an Ethereum account (CAIP-10). An address is one number however its letters are written.
const PKH_ID = /^eip155:[1-9][0-9]{0,14}:0x[0-9a-fA-F]{40}$/;
// An address, or a compressed public key. Numbers without leading zeros; 12 hex digits stay exact in a number.
const ETHR_ID =
  /^(?:(0x[1-9a-fA-F][0-9a-fA-F]{0,11}|mainnet|sepolia):)?(0x[0-9a-fA-F]{40}|0x0[23][0-9a-fA-F]{64})$/;
const ETHR_NETWORKS: ReadonlyMap<string, number> = new Map([
  ['mainnet', 1],
  ['sepolia', 11_155_111],
]);
// RFC 7638, SHA-256 in base64url.
const THUMBPRINT = /^[A-Za-z0-9_-]{43}$/;
// CAIP-2 and CAIP-10 in one spelling each: no leading zeros, the address in lower case. 15 digits stay exact in a number.
const SAGE_ID = /^eip155:([1-9][0-9]{0,14}):(0x[0-9a-f]{40}):(0|[1-9][0-9]{0,77})$/;
const UINT256_DIGITS_MAX = 78;
const UINT256_MAX = 2n ** 256n - 1n;

/**
 * Reads a keyid: an absolute DID URL with a fragment, or a bare DID. Relative ids (`#key-1`), paths, queries,
 * percent-encoding and any second spelling of a name are refused.
 * @throws DidError did_malformed, did_method_unsupported
 */
export function parseKeyId(keyid: string): ParsedKeyId {
  if (keyid.length > KEYID_BYTES_MAX) {
    throw new DidError('did_malformed', `keyid is longer than ${KEYID_BYTES_MAX} bytes`);
  }
  const match = DID_URL.exec(keyid);
  if (match === null) throw new DidError('did_malformed', whyNotADidUrl(keyid));
  const [, method, id, fragment = null] = match as unknown as [string, string, string, string | undefined];
  if (fragment !== null && fragment.length > FRAGMENT_BYTES_MAX) {
    throw new DidError('did_malformed', `the fragment is longer than ${FRAGMENT_BYTES_MAX} bytes`);
  }
  const did = fragment === null ? keyid : keyid.slice(0, keyid.length - fragment.length - 1);
  if (method === 'sage') return parseSage(keyid, did, id, fragment);
  if (method === 'ethr') return parseEthr(id, fragment);
  if (method === 'key') {
    if (!KEY_ID.test(id)) throw new DidError('did_malformed', 'did:key must be base58btc and begin with z');
    return named(keyid, did, method, fragment, null);
  }
  if (method === 'jwk') {
    if (!JWK_ID.test(id)) throw new DidError('did_malformed', 'did:jwk must be base64url without padding');
    return named(keyid, did, method, fragment, null);
  }
  if (method === 'pkh') {
    if (!PKH_ID.test(id))
      throw new DidError('did_malformed', 'did:pkh must read did:pkh:eip155:<chainId>:<address>');
    const canonical = did.toLowerCase();
    const text = fragment === null ? canonical : `${canonical}#${fragment}`;
    return named(text, canonical, method, fragment, null);
  }
  if (method === 'web' || method === 'webvh') {
    return named(keyid, did, method, fragment, null, parseWebName(method, id));
  }
  throw new DidError('did_method_unsupported', `did:${method} is not supported`);
}

/**
 * A key of a host's key directory (Web Bot Auth). Its caller is the did:web of that host: whoever publishes the one can
 * publish the other.
 * @param host lower case, with its port if that is not 443
 * @param thumbprint of the key, RFC 7638
 * @throws DidError did_malformed
 */
export function directoryKeyId(host: string, thumbprint: string): ParsedKeyId {
  const id = host.replace(':', '%3A');
  const site = parseWebName('web', id);
  if (site.path.length > 0) throw new DidError('did_malformed', 'a key directory is that of a host');
  if (!THUMBPRINT.test(thumbprint))
    throw new DidError('did_malformed', 'keyid must be the SHA-256 thumbprint of a key (RFC 7638)');
  const did = `did:web:${id}`;
  const text = `${did}#${thumbprint}`;
  return { text, did, method: 'web', methodClass: 'directory', fragment: thumbprint, subject: null, site };
}

/** The key of a host's directory that has the same name as one of its document; null when none can. */
export function directoryTwin({ method, fragment, site }: ParsedKeyId): ParsedKeyId | null {
  if (method !== 'web' || site === null || site.path.length > 0) return null;
  if (fragment === null || !THUMBPRINT.test(fragment)) return null;
  return directoryKeyId(site.port === null ? site.host : `${site.host}:${site.port}`, fragment);
}

function named(
  text: string,
  did: string,
  method: DidMethod,
  fragment: string | null,
  subject: SubjectName | null,
  site: WebName | null = null,
): ParsedKeyId {
  return { text, did, method, methodClass: CLASS_OF[method], fragment, subject, site };
}

/** The one spelling in which the DID of a caller is compared, or null for what is none that could call. */
export function spellingOf(did: string): string | null {
  try {
    return parseKeyId(did).did;
  } catch (error) {
    if (error instanceof DidError) return null;
    throw error;
  }
}

/** The registry an agent of did:sage is in stands in its name; the first generations name a chain alone. */
function parseSage(keyid: string, did: string, id: string, fragment: string | null): ParsedKeyId {
  const match = /^(ethereum|eth|solana|sol):(.+)$/i.exec(id);
  if (match === null) return named(keyid, did, 'sage', fragment, parseAgent(id));
  const [, chain = '', name = ''] = match;
  if (chain.toLowerCase().startsWith('sol'))
    throw new DidError('did_method_unsupported', 'did:sage agents on Solana are not supported');
  const subject = { kind: 'agent-card', chainId: null, contract: null, id: name } as const;
  return spelled(cardDid(name), 'sage', fragment, subject);
}

/** did:ethr, with its network as the reference resolver takes it: by number in hex, or one of two names. */
function parseEthr(id: string, fragment: string | null): ParsedKeyId {
  const match = ETHR_ID.exec(id);
  if (match === null) {
    throw new DidError(
      'did_malformed',
      'did:ethr must read did:ethr:[<0x and the chain id in hex>:]<0x and 40 or 66 hex digits>',
    );
  }
  const [, network, identifier = ''] = match;
  const chainId = network === undefined ? 1 : (ETHR_NETWORKS.get(network) ?? Number(network));
  const subject = { kind: 'ethr', chainId, contract: null, id: identifier.toLowerCase() } as const;
  return spelled(ethrDid(chainId, identifier), 'ethr', fragment, subject);
}

/** In the one spelling, however it was sent. */
function spelled(
  did: string,
  method: 'sage' | 'ethr',
  fragment: string | null,
  subject: SubjectName,
): ParsedKeyId {
  return named(fragment === null ? did : `${did}#${fragment}`, did, method, fragment, subject);
}

/** The DID of an ERC-1056 identity in its one spelling. @param identifier an address, or a compressed public key */
export function ethrDid(chainId: number, identifier: string): string {
  const network = chainId === 1 ? '' : `0x${chainId.toString(16)}:`;
  return `did:ethr:${network}${identifier.toLowerCase()}`;
}

/** The DID of an agent of the first generations in its one spelling. */
export function cardDid(id: string): string {
  return `did:sage:ethereum:${id}`;
}

/** The DID of an agent; `registry` may be checksummed, the answer is canonical. */
export function agentDid(chainId: number, registry: string, agentId: string | bigint): string {
  return `did:sage:eip155:${chainId}:${registry.toLowerCase()}:${agentId}`;
}

function parseAgent(id: string): SubjectName {
  const match = SAGE_ID.exec(id);
  if (match === null) {
    throw new DidError(
      'did_malformed',
      'did:sage must read did:sage:eip155:<chainId>:<0x and 40 lower-case hex digits>:<agentId>, numbers without leading zeros',
    );
  }
  const [, chainId, registry, agentId] = match as unknown as [string, string, string, string];
  if (agentId.length === UINT256_DIGITS_MAX && BigInt(agentId) > UINT256_MAX) {
    throw new DidError('did_malformed', 'the agentId does not fit in 256 bits');
  }
  return { kind: 'erc8004', chainId: Number(chainId), contract: registry, id: agentId };
}

function whyNotADidUrl(keyid: string): string {
  if (keyid.startsWith('#')) return 'a relative keyid names nobody: give the absolute DID URL';
  if (!keyid.startsWith('did:')) return 'keyid is not a DID URL';
  if (/[/?;]/.test(keyid)) return 'path, parameters and query are not allowed in keyid';
  return 'keyid does not follow the syntax of a DID URL';
}
