/**
 * The address a request came from. `X-Forwarded-For` is a claim; it is believed only as far as it was written by proxies
 * the operator named: walked from the right, the first address that is not such a proxy is the caller's.
 */
import { BlockList, isIP, type Socket } from 'node:net';
import ipaddr from 'ipaddr.js';
import { LRUCache } from 'lru-cache';
import { isHttp2, type RawRequest } from './target.ts';

interface Peer {
  readonly address: string;
  readonly trusted: boolean;
}

export interface TrustedProxies {
  readonly none: boolean;
  readonly list: BlockList;
  /** Field text -> address, so that the few chains in use are walked once each. */
  readonly chains: LRUCache<string, string>;
  /** What is known of a connection, kept as long as its socket. */
  readonly peers: WeakMap<Socket, Peer>;
}

/** Names every entry of TRUSTED_PROXIES that cannot be used. */
export class TrustedProxiesError extends Error {
  readonly code = 'SAGE_TRUSTED_PROXIES_INVALID';
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(`TRUSTED_PROXIES cannot be used: ${faults.join('; ')}`);
    this.name = 'TrustedProxiesError';
    this.faults = faults;
  }
}

/** Chains kept: one for each client behind the proxies that is active now; beyond it only a walk is repeated. */
const CHAINS_MAX = 4_096;
/** Longer chains are walked each time, so that a stranger cannot fill the cache with kilobytes. */
const CHAIN_CACHED_LENGTH_MAX = 256;
/** Hops walked; no deployment chains more trusted proxies, and a field of 32 KiB could name 4,000. */
const HOPS_MAX = 32;
/** An operator's list is short; a longer one is a mistake. */
const ENTRIES_MAX = 256;

function addEntry(list: BlockList, entry: string, faults: string[]): void {
  const [address = '', prefixText, ...rest] = entry.split('/');
  const version = isIP(address);
  const width = version === 6 ? 128 : 32;
  const prefix = prefixText === undefined ? width : /^\d{1,3}$/.test(prefixText) ? Number(prefixText) : -1;
  if (version === 0 || rest.length > 0 || prefix < 0 || prefix > width) {
    faults.push(`"${entry}" is neither an IP address nor a CIDR block`);
  } else if (prefix === 0) {
    faults.push(`"${entry}" would trust everyone, so that any caller could choose its address`);
  } else {
    list.addSubnet(address, prefix, version === 6 ? 'ipv6' : 'ipv4');
  }
}

/**
 * Reads TRUSTED_PROXIES: addresses and CIDR blocks, separated by commas; empty trusts none.
 * @throws {TrustedProxiesError} naming every entry at fault.
 */
export function parseTrustedProxies(text: string): TrustedProxies {
  const entries = text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
  const faults: string[] = [];
  const list = new BlockList();
  if (entries.length > ENTRIES_MAX) faults.push(`more than ${ENTRIES_MAX} entries`);
  else for (const entry of entries) addEntry(list, entry, faults);
  if (faults.length > 0) throw new TrustedProxiesError(faults);
  return {
    none: entries.length === 0,
    list,
    chains: new LRUCache({ max: CHAINS_MAX }),
    peers: new WeakMap(),
  };
}

/** One form for each address, so that a limit counts it once: IPv4-mapped IPv6 becomes IPv4, IPv6 is compressed. */
function normalise(address: string): string | null {
  switch (isIP(address)) {
    case 4:
      return address;
    case 6:
      // A zone names an interface of the machine that wrote it, which means nothing here.
      return ipaddr.process(address.split('%', 1)[0] as string).toString();
    default:
      return null;
  }
}

function isTrusted(trusted: TrustedProxies, address: string): boolean {
  return trusted.list.check(address, address.includes(':') ? 'ipv6' : 'ipv4');
}

function peerOf(socket: Socket, trusted: TrustedProxies): Peer {
  const known = trusted.peers.get(socket);
  if (known !== undefined) return known;
  const address = normalise(socket.remoteAddress ?? '');
  // A socket that is gone already has no address; it shares one bucket and is never trusted.
  if (address === null) return { address: '0.0.0.0', trusted: false };
  const peer = { address, trusted: !trusted.none && isTrusted(trusted, address) };
  trusted.peers.set(socket, peer);
  return peer;
}

/**
 * Walks `X-Forwarded-For` from the right, the end that the nearest proxy wrote. A malformed entry stops the walk at the
 * last proxy that was believed: what stands left of it was written by nobody we trust.
 */
function walk(field: string, socketAddress: string, trusted: TrustedProxies): string {
  let address = socketAddress;
  let end = field.length;
  for (let hop = 0; hop < HOPS_MAX && end > 0; hop++) {
    const comma = field.lastIndexOf(',', end - 1);
    const next = normalise(field.slice(comma + 1, end).trim());
    if (next === null) return address;
    address = next;
    if (!isTrusted(trusted, address)) return address;
    end = comma;
  }
  return address;
}

/** The other end of the connection: its address, and whether it is one of TRUSTED_PROXIES. */
export function peerAddress(req: RawRequest, trusted: TrustedProxies): Peer {
  return peerOf(isHttp2(req) ? (req.stream.session?.socket ?? req.socket) : req.socket, trusted);
}

/** The source address of a request, normalised. Parsed once for each connection, or once for each chain of proxies. */
export function clientAddress(req: RawRequest, trusted: TrustedProxies): string {
  // Over HTTP/2 `req.socket` is a proxy object made to keep hands off the socket; the session's own is as well, but
  // it is one object for each session and so can be a key.
  const socket = isHttp2(req) ? (req.stream.session?.socket ?? req.socket) : req.socket;
  const peer = peerOf(socket, trusted);
  if (!peer.trusted) return peer.address;
  const field = req.headers['x-forwarded-for'];
  if (typeof field !== 'string' || field === '') return peer.address;
  if (field.length > CHAIN_CACHED_LENGTH_MAX) return walk(field, peer.address, trusted);
  // The peer's own address is part of the key: a field whose last entry is malformed resolves to it.
  const key = `${peer.address} ${field}`;
  const cached = trusted.chains.get(key);
  if (cached !== undefined) return cached;
  const address = walk(field, peer.address, trusted);
  trusted.chains.set(key, address);
  return address;
}
