/**
 * What the other rooms publish on `node:diagnostics_channel`, as this room reads it. The names are repeated here
 * and not imported: nothing may depend on telemetry, and telemetry must not pull the path in.
 */
import { subscribe as subscribeChannel, unsubscribe } from 'node:diagnostics_channel';
import type { RequestRecord } from '../../gateway/record.ts';

export interface DidResolution {
  /** Which tier answered: `offline` for methods whose document is in the DID itself. */
  readonly tier: 'memory' | 'redis' | 'chain' | 'offline';
  readonly ms: number;
  readonly outcome: string;
}

export interface CircuitChange {
  readonly agentId: string;
  readonly instance: string;
  readonly state: 'closed' | 'open' | 'half-open';
}

export interface PolicyReload {
  readonly revision: string;
  readonly rules: number;
}

export interface ChainHead {
  readonly chainId: number | string;
  readonly head: number | bigint | null;
  readonly lagBlocks: number | null;
  readonly connected: boolean;
}

export interface Events {
  'sage:request.started': RequestRecord;
  'sage:request.finished': RequestRecord;
  'sage:did.resolution': DidResolution;
  'sage:did.purge': unknown;
  'sage:circuit': CircuitChange;
  'sage:policy.reloaded': PolicyReload;
  'sage:policy.refused': unknown;
  'sage:chain.head': ChainHead;
}

/**
 * Calls `handler` for each message on `name` until the function returned is called. `diagnostics_channel` turns a
 * subscriber's exception into an uncaught one, which would end the process: here it is handed to `onError` instead.
 */
export function listen<N extends keyof Events>(
  name: N,
  handler: (event: Events[N]) => void,
  onError: (name: N, error: unknown) => void,
): () => void {
  const guarded = (message: unknown): void => {
    try {
      handler(message as Events[N]);
    } catch (error) {
      onError(name, error);
    }
  };
  subscribeChannel(name, guarded);
  return () => {
    unsubscribe(name, guarded);
  };
}
