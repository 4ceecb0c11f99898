/** What this room publishes on `node:diagnostics_channel`. */
import { channel } from 'node:diagnostics_channel';

/** One agent of the store that is served otherwise than before, on every node that hears of it. */
export interface AgentChanged {
  readonly id: string;
  readonly change: 'added' | 'changed' | 'removed';
  /** Who did it; empty for a removal, of which no row is left to say so. */
  readonly by: string;
}

/** Payload: `AgentChanged`. */
export const agentChanged = channel('sage:agents');
