/** A host with documents, over TLS, and a resolver that asks it, in which every moment can be held still. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { base58btc } from 'multiformats/bases/base58';
import { createDenyList, type DenyList } from '../../../src/trust/did/deny-list.ts';
import { parseKeyId } from '../../../src/trust/did/did-url.ts';
import type { ResolverBounds } from '../../../src/trust/did/resolver.ts';
import { createResolver, type ResolvedKey, type Resolver } from '../../../src/trust/did/resolver.ts';
import { fetcherFor, HOST, type Host, host } from '../fetch/hosts.ts';
import { type Identity, SECRET } from './world.ts';

export interface Published {
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly status?: number;
}

export interface WebWorld extends AsyncDisposable {
  readonly resolver: Resolver;
  readonly denied: DenyList;
  readonly server: Host;
  /** What stands at each path; absent means 404. */
  readonly files: Map<string, Published>;
  /** Paths asked for, oldest first, with the entity tag asked about. */
  readonly asked: string[];
  nowMs: number;
  /** Instead of what stands in `files`. */
  answer: ((request: IncomingMessage, response: ServerResponse) => void) | null;
  /** The DID at `path` (segments joined by `:`), or of the host itself. */
  did(path?: string): string;
  publish(path: string, document: object, headers?: Readonly<Record<string, string>>): void;
  find(keyid: string): Promise<ResolvedKey>;
}

/** A document of `did` whose keys may all sign. */
export function documentOf(did: string, keys: Readonly<Record<string, Identity>>): object {
  return {
    '@context': ['https://www.w3.org/ns/did/v1', 'https://w3id.org/security/multikey/v1'],
    id: did,
    verificationMethod: Object.entries(keys).map(([fragment, { multikey }]) => ({
      id: `${did}#${fragment}`,
      type: 'Multikey',
      controller: did,
      publicKeyMultibase: base58btc.encode(multikey),
    })),
    authentication: Object.keys(keys).map((fragment) => `#${fragment}`),
  };
}

export async function newWebWorld(bounds: Partial<ResolverBounds> = {}): Promise<WebWorld> {
  const files = new Map<string, Published>();
  const asked: string[] = [];
  const server = await host((request, response) => {
    const etag = request.headers['if-none-match'];
    asked.push(`${request.url}${etag === undefined ? '' : ` ${etag}`}`);
    if (world.answer !== null) {
      world.answer(request, response);
      return;
    }
    const file = files.get(request.url ?? '');
    if (file === undefined) response.writeHead(404).end();
    else if (etag !== undefined && file.headers?.etag === etag) response.writeHead(304, file.headers).end();
    else {
      response.writeHead(file.status ?? 200, { 'content-type': 'application/did+json', ...file.headers });
      response.end(file.body);
    }
  });
  const fetcher = await fetcherFor();
  const clock = { nowMs: 1_800_000_000_000 };
  const denied = createDenyList(() => world.nowMs);
  const resolver = createResolver({
    chain: null,
    chains: [],
    shared: null,
    sharedSecret: SECRET,
    denied,
    fetcher,
    bounds,
    now: () => world.nowMs,
    monotonicNow: () => performance.now(),
    log: { warn: () => undefined },
  });
  const world: WebWorld = Object.assign(clock, {
    resolver,
    denied,
    server,
    files,
    asked,
    answer: null,
    did: (path = '') => `did:web:${HOST}%3A${server.port}${path === '' ? '' : `:${path}`}`,
    publish(path: string, document: object, headers: Readonly<Record<string, string>> = {}) {
      const at = path === '' ? '/.well-known/did.json' : `/${path.replaceAll(':', '/')}/did.json`;
      files.set(at, { body: JSON.stringify(document), headers });
    },
    async find(keyid: string) {
      return await resolver.find(parseKeyId(keyid), { safeMethod: false });
    },
    async [Symbol.asyncDispose]() {
      resolver.close();
      fetcher.close();
      await server[Symbol.asyncDispose]();
    },
  });
  return world;
}
