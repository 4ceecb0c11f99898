/** How the stream does: plain numbers that its owner counts and a scrape reads. */
import { Counter, Gauge, type Registry } from 'prom-client';

/** Why a client was let go. */
export type CloseReason = 'slow' | 'credential' | 'shutdown' | 'silent';

export interface StreamCounts {
  clients: number;
  readonly closed: Record<CloseReason, number>;
}

export interface StreamMetrics {
  readonly stream: StreamCounts;
}

export function createStreamMetrics(registry: Registry): StreamMetrics {
  const stream: StreamCounts = { clients: 0, closed: { slow: 0, credential: 0, shutdown: 0, silent: 0 } };
  const registers = [registry];
  new Gauge({
    name: 'sage_stream_clients',
    help: 'Clients that read the stream of events.',
    registers,
    collect() {
      this.set(stream.clients);
    },
  });
  new Counter({
    name: 'sage_stream_closed_total',
    help: 'Clients of the stream that the gateway closed, by why.',
    labelNames: ['reason'],
    registers,
    collect() {
      this.reset();
      for (const [reason, count] of Object.entries(stream.closed)) this.inc({ reason }, count);
    },
  });
  return { stream };
}
