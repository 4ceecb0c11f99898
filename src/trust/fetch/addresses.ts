/**
 * Where a name leads, asked once. What is connected to afterwards is one of these addresses and no other, so a name
 * that answers differently a moment later (DNS rebinding) gains nothing.
 */
import { Resolver, lookup as systemLookup } from 'node:dns/promises';
import ipaddr from 'ipaddr.js';
import { FetchError } from './errors.ts';

/** All addresses of a name, as text. Rejects when there are none. */
export type Lookup = (host: string, signal: AbortSignal) => Promise<readonly string[]>;

/** Tried in turn by the connection; a name with more is not served better by them. */
const ADDRESSES_MAX = 8;
const TRY_TIMEOUT_MS = 1_000;
const TRIES = 2;

/**
 * By the name servers alone, over sockets of its own. Not `dns.lookup`: that takes a thread of four, which a stranger
 * with a slow name server would hold, and it completes a short name from the search list of an inner network.
 * @param servers `address:port`; those of the machine when left out
 */
export function lookupBy(servers?: readonly string[]): Lookup {
  return async (host, signal) => {
    signal.throwIfAborted();
    const resolver = new Resolver({ timeout: TRY_TIMEOUT_MS, tries: TRIES });
    if (servers !== undefined) resolver.setServers(servers);
    const cancel = (): void => resolver.cancel();
    signal.addEventListener('abort', cancel, { once: true });
    try {
      const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
      const addresses = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
      if (addresses.length > 0) return addresses;
      const [first] = answers;
      throw first.status === 'rejected' ? first.reason : new Error('no addresses');
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  };
}

/** As the machine resolves names, its hosts file included: for development, where `localhost` is meant. */
export const lookupOnMachine: Lookup = async (host) =>
  (await systemLookup(host, { all: true, verbatim: true })).map(({ address }) => address);

/**
 * The addresses of `host`, each of which may be connected to.
 * @throws FetchError fetch_name_unresolved, fetch_address_refused when a single one is not public: whoever mixes them
 * has no good reason to
 */
export async function addressesOf(
  host: string,
  lookup: Lookup,
  allowPrivate: boolean,
  signal: AbortSignal,
): Promise<readonly string[]> {
  let addresses: readonly string[];
  try {
    addresses = await lookup(host, signal);
  } catch (error) {
    throw new FetchError('fetch_name_unresolved', host, error);
  }
  if (addresses.length === 0) throw new FetchError('fetch_name_unresolved', host);
  const refused = addresses.find((address) => !isAddress(address) || !(allowPrivate || isPublic(address)));
  if (refused !== undefined) throw new FetchError('fetch_address_refused', `${host} is at ${refused}`);
  return addresses.slice(0, ADDRESSES_MAX);
}

function isAddress(text: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text);
}

/** IANA: the only block of IPv6 from which global unicast addresses are given out. */
const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3');

/**
 * Whether an address is public unicast. Every form in which IPv6 carries an IPv4 address is refused (mapped,
 * compatible, NAT64, 6to4, Teredo): what is really reached would be the address inside.
 */
export function isPublic(address: string): boolean {
  if (!isAddress(address)) return false;
  const parsed = ipaddr.parse(address);
  if (parsed.range() !== 'unicast') return false;
  return parsed instanceof ipaddr.IPv4 || parsed.match(GLOBAL_UNICAST);
}
