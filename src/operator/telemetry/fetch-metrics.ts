/** What operators see of the documents that are fetched: how many, and why some were not. */
import { Counter, type Registry } from 'prom-client';
import type { FetchEvent } from '../../trust/fetch/fetcher.ts';

export interface FetchMetrics {
  readonly fetched: (event: FetchEvent) => void;
}

export function createFetchMetrics(registry: Registry): FetchMetrics {
  const fetches = new Counter({
    name: 'sage_document_fetches_total',
    help: 'DID documents, logs and key directories asked for, by what came of it.',
    labelNames: ['outcome'],
    registers: [registry],
  });
  return { fetched: ({ outcome }) => fetches.inc({ outcome }) };
}
