import type { Agent, UpstreamDefinition } from '../../agents/registry.ts';
import type { Circuit } from '../breaker/circuit.ts';
import type { UpstreamPool } from '../proxy/pool.ts';

/** One place an agent runs at: what the breaker and the proxy keep about it. */
export interface Instance {
  readonly agentId: string;
  /** Such as `http://127.0.0.1:9100`; what the record and the circuit's events call it. */
  readonly origin: string;
  readonly upstream: UpstreamDefinition;
  readonly circuit: Circuit;
  readonly pool: UpstreamPool;
}

export type RoutedAgent = Agent<Instance>;
