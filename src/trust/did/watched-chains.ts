/** The chains of the configuration: which contract of which of them keeps a DID's keys, and how well each is seen. */
import type { SubjectName } from './did-url.ts';
import { DidError } from './errors.ts';
import type { ChainSubject, ContractKind } from './ports.ts';
import type { ResolverBounds, ResolverOptions } from './resolver.ts';
import { type Sight, sightOf, type WatcherReport } from './staleness.ts';

interface Watched {
  readonly contracts: readonly { readonly kind: ContractKind; readonly address: string }[];
  report: WatcherReport;
  reportedAtMs: number;
}

export class WatchedChains {
  readonly #byId = new Map<number, Watched>();
  readonly #bounds: ResolverBounds;
  readonly #now: () => number;

  constructor({ chains, now }: Pick<ResolverOptions, 'chains' | 'now'>, bounds: ResolverBounds) {
    this.#bounds = bounds;
    this.#now = now;
    const reportedAtMs = now();
    for (const { chainId, contracts } of chains) {
      this.#byId.set(chainId, {
        contracts: contracts.map(({ kind, address }) => ({ kind, address: address.toLowerCase() })),
        // No report yet: as if level with the head at this moment, and silent since.
        report: { lagMs: 0, connected: false },
        reportedAtMs,
      });
    }
  }

  has(chainId: number): boolean {
    return this.#byId.has(chainId);
  }

  /** Where the keys of `name` stand by the configuration; null when nowhere that is configured. */
  subjectOf(name: SubjectName | null): ChainSubject | null {
    if (name === null) return null;
    const { kind, id } = name;
    for (const [chainId, { contracts }] of this.#byId) {
      if (name.chainId !== null && name.chainId !== chainId) continue;
      for (const contract of contracts) {
        if (contract.kind !== kind || (name.contract !== null && contract.address !== name.contract))
          continue;
        return { kind, chainId, contract: contract.address, id };
      }
    }
    return null;
  }

  report(chainId: number, report: WatcherReport): void {
    const watched = this.#byId.get(chainId);
    if (watched === undefined) return;
    watched.report = report;
    watched.reportedAtMs = this.#now();
  }

  /** `lost` for a chain that is not configured. */
  sight(chainId: number): Sight {
    const watched = this.#byId.get(chainId);
    if (watched === undefined) return 'lost';
    return sightOf(watched.report, watched.reportedAtMs, this.#now(), this.#bounds);
  }

  sights(): Readonly<Record<string, Sight>> {
    return Object.fromEntries(
      Array.from(this.#byId.keys(), (chainId) => [`${chainId}`, this.sight(chainId)]),
    );
  }

  /** How long a document read now may be used, in milliseconds. */
  ttlMs(chainId: number): number {
    return this.sight(chainId) === 'live' ? this.#bounds.chainTtlMs : this.#bounds.degradedTtlMs;
  }

  /** Why nothing that is cached may be used now; null when it may. */
  staleness(chainId: number, safeMethod: boolean): DidError | null {
    const sight = this.sight(chainId);
    if (sight === 'live' || sight === 'degraded' || (sight === 'lagging' && safeMethod)) return null;
    return new DidError('did_stale', `the watcher lags behind the chain: ${sight}`);
  }
}

/**
 * Whether every node knows from an event alone whom it concerns. Of the others only those who have read them do, so what
 * another node shared may be older than a change that this one heard of without knowing whose it was.
 */
export function isNamedByEvents({ kind, id }: ChainSubject): boolean {
  return kind === 'erc8004' || (kind === 'ethr' && id.length === 42);
}
