/**
 * The identifiers of did:web and did:webvh (W3C CCG did:web; did:webvh 1.0, section 3.3), and the URLs made of them. The
 * grammar is narrower than theirs: one spelling for each name, and nothing that a URL parser could take for anything else.
 */
import { DidError } from './errors.ts';

/** Whose document is asked for. */
export interface WebName {
  /** Lower case; internationalised names in their ASCII form (RFC 5890). */
  readonly host: string;
  /** Null: 443. */
  readonly port: number | null;
  readonly path: readonly string[];
  /** Of did:webvh: what the first entry of its log must hash to; null for did:web. */
  readonly scid: string | null;
}

/** RFC 1035, section 2.3.4. */
const HOST_CHARS_MAX = 253;
const PORT_MAX = 65_535;
/** Labels of letters, digits and inner hyphens; the last begins with a letter, so that no URL parser sees an IPv4 address. */
const HOST = /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
/** Of the encodings only that of the colon before a port is let in, in upper case, without leading zeros. */
const PORT = /^[1-9][0-9]{0,4}$/;
const SEGMENT = /^[A-Za-z0-9._-]+$/;
/** Base58btc of a SHA-256 multihash, which always begins alike and has this length. */
const SCID = /^Qm[1-9A-HJ-NP-Za-km-z]{44}$/;

/**
 * @param id what follows `did:web:` or `did:webvh:`
 * @throws DidError did_malformed
 */
export function parseWebName(method: 'web' | 'webvh', id: string): WebName {
  const parts = id.split(':');
  const scid = method === 'webvh' ? (parts.shift() ?? '') : null;
  const [authority = '', ...path] = parts;
  const [host = '', portText, ...more] = authority.split('%3A');
  if (scid !== null && !SCID.test(scid))
    throw new DidError('did_malformed', 'did:webvh must begin with an SCID');
  if (!isHost(host)) {
    throw new DidError(
      'did_malformed',
      'the host must be a domain name in lower case and ASCII, not an address',
    );
  }
  const port = portText === undefined ? null : Number(portText);
  // 443 written out would be a second name of the same document.
  const badPort = port !== null && (!PORT.test(portText ?? '') || port > PORT_MAX || port === 443);
  if (badPort || more.length > 0) {
    throw new DidError('did_malformed', 'a port is written %3A and its number, and 443 not at all');
  }
  if (!path.every((segment) => SEGMENT.test(segment) && segment !== '.' && segment !== '..')) {
    throw new DidError('did_malformed', 'a path has letters, digits, dots, hyphens and underscores alone');
  }
  return { host, port, path, scid };
}

function isHost(host: string): boolean {
  return host === 'localhost' || (host.length <= HOST_CHARS_MAX && HOST.test(host));
}

/** Where a file of the DID is published: below the path, or in `/.well-known` when there is none. */
export function webUrl(name: WebName, file: 'did.json' | 'did.jsonl' | 'did-witness.json'): URL {
  const folder = name.path.length === 0 ? '.well-known' : name.path.join('/');
  return new URL(`https://${authorityOf(name)}/${folder}/${file}`);
}

/** Where a host publishes the keys of its signers. */
export function keyDirectoryUrl(name: WebName): URL {
  return new URL(`https://${authorityOf(name)}/.well-known/http-message-signatures-directory`);
}

function authorityOf({ host, port }: WebName): string {
  return port === null ? host : `${host}:${port}`;
}
