/** Admission as a Fastify plugin: `app.admission` for the path, and a limit on every other route. */
import rateLimit from '@fastify/rate-limit';
import type { FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { addressKey } from '../../store/address.ts';
import type { Blocks } from '../../store/blocks.ts';
import type { LimitStore } from '../../store/limits.ts';
import { Refused } from '../refusal.ts';
import { type Admission, createAdmission } from './admission.ts';
import { admissionRefusals } from './errors.ts';
import { gcraStore } from './shell.ts';

declare module 'fastify' {
  interface FastifyInstance {
    admission: Admission;
  }
}

export interface AdmissionOptions {
  readonly limits: LimitStore;
  readonly blocks: Blocks;
  /** NEW_CALLERS_PER_ADDRESS_PER_MINUTE */
  readonly newCallersPerMinute: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Who is asking, trusted proxies left out; the other end of the connection when absent. */
  readonly addressOf?: (request: FastifyRequest) => string;
}

/** Routes under it are admitted by their own pipeline, which calls `app.admission`. */
const PATH_PREFIX = '/agents/';
/** For health probes, scrapes and people: more than any of them needs, less than a guesser of keys wants. */
const OTHER_ROUTES_MAX = 600;
const OTHER_ROUTES_PERIOD_MS = 60_000;
const OTHER_ROUTES_POLICY = 'per-route';
/** The fields of old drafts; ours are RateLimit and RateLimit-Policy. */
const LEGACY_FIELDS_OFF = {
  'x-ratelimit-limit': false,
  'x-ratelimit-remaining': false,
  'x-ratelimit-reset': false,
};

/** Admits requests: by address before identity, by DID after it. */
export const admissionPlugin = fp<AdmissionOptions>(
  async (app, { limits, blocks, newCallersPerMinute, now, addressOf = (request) => request.ip }) => {
    app.decorate('admission', createAdmission(limits, blocks, newCallersPerMinute));
    // Before rate-limit's own onRoute hook, which reads this: a new route is limited unless it says otherwise.
    app.addHook('onRoute', (route) => {
      if (route.url.startsWith(PATH_PREFIX) || route.config?.rateLimit !== undefined) return;
      route.config = { ...route.config, rateLimit: {} };
    });
    await app.register(rateLimit, {
      global: false,
      max: OTHER_ROUTES_MAX,
      timeWindow: OTHER_ROUTES_PERIOD_MS,
      store: gcraStore(limits, now),
      keyGenerator: (request) => addressKey(addressOf(request)),
      addHeadersOnExceeding: LEGACY_FIELDS_OFF,
      addHeaders: { ...LEGACY_FIELDS_OFF, 'retry-after': false },
      errorResponseBuilder: (_request, { max, ttl }) => refuseOtherRoute(max, ttl),
    });
  },
  { name: 'sage-admission', fastify: '5.x' },
);

function refuseOtherRoute(max: number, ttlMs: number): Refused {
  const retryAfter = String(Math.max(1, Math.ceil(ttlMs / 1000)));
  const policy = `"${OTHER_ROUTES_POLICY}";q=${max};w=${OTHER_ROUTES_PERIOD_MS / 1000}`;
  const left = `"${OTHER_ROUTES_POLICY}";r=0;t=${retryAfter}`;
  const headers = ['ratelimit-policy', policy, 'ratelimit', left, 'retry-after', retryAfter];
  return new Refused(admissionRefusals.address_rate_limited, { headers });
}
