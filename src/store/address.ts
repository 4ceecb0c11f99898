/**
 * What counts as one source. An IPv6 subscriber holds a whole /64 and could use a new address for every call, so
 * the /64 is counted; an IPv4 address written as IPv6 (::ffff:a.b.c.d, as dual-stack sockets say it) is the
 * IPv4 address it is.
 */
import { isIPv4, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';

/** The only name under which an address is counted or blocked; made by `addressKey` alone. */
export type AddressKey = string & { readonly __addressKey: unique symbol };

/** Everything that is no address shares one budget: it must not be a way around the limits. */
const UNKNOWN = 'unknown' as AddressKey;
const SUBNET_PARTS = 4;

/** Pure. Never throws: `address` may come from a forwarded header. */
export function addressKey(address: string): AddressKey {
  if (isIPv4(address)) return address as AddressKey;
  if (!isIPv6(address)) return UNKNOWN;
  // The zone names an interface of this machine, not a source.
  const parsed = ipaddr.IPv6.parse(address.split('%', 1)[0] as string);
  if (parsed.isIPv4MappedAddress()) return parsed.toIPv4Address().toString() as AddressKey;
  const subnet = parsed.parts.slice(0, SUBNET_PARTS).map((part) => part.toString(16));
  return `${subnet.join(':')}::/64` as AddressKey;
}

/** For keys that arrive from other nodes. */
export function isAddressKey(text: string): text is AddressKey {
  return isIPv4(text) || /^[0-9a-f]{1,4}(:[0-9a-f]{1,4}){3}::\/64$/.test(text);
}
