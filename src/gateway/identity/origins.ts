import { Refused } from '../refusal.ts';
import { IDENTITY_REFUSALS } from './errors.ts';

export interface Origin {
  readonly scheme: 'http' | 'https';
  /** Lower-case host with its port, the default port left out. */
  readonly authority: string;
}

/**
 * The origins under which this gateway may be called. Signatures are checked against the origin found here, so a
 * request signed for another host is refused even when this process receives it (RFC 9421, section 7.2.1).
 */
export type Origins = ReadonlyMap<string, Origin>;

/** @param urls origins such as `https://gateway.example`, as `PUBLIC_ORIGINS` lists them. */
export function createOrigins(urls: readonly string[]): Origins {
  const origins = new Map<string, Origin>();
  for (const text of urls) {
    const url = new URL(text);
    const scheme = url.protocol === 'https:' ? 'https' : 'http';
    const origin: Origin = { scheme, authority: url.host };
    origins.set(url.host, origin);
    // A Host field may spell out the default port; it names the same origin (RFC 9110, section 4.2.3).
    if (url.port === '') origins.set(`${url.host}:${scheme === 'https' ? 443 : 80}`, origin);
  }
  return origins;
}

/** Loopback names of a listener, the origins when none are configured. */
export function loopbackOrigins(scheme: 'http' | 'https', port: number): string[] {
  return ['127.0.0.1', 'localhost', '[::1]'].map((host) => `${scheme}://${host}:${port}`);
}

/** @throws {Refused} authority_unknown for a host that is none of ours. */
export function findOrigin(origins: Origins, authority: string): Origin {
  const origin = origins.get(authority) ?? origins.get(authority.toLowerCase());
  if (origin === undefined) {
    throw new Refused(IDENTITY_REFUSALS.authority_unknown, {
      explanation: `${authority} is not among PUBLIC_ORIGINS`,
    });
  }
  return origin;
}
