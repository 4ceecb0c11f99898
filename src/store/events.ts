/** What this room publishes on `node:diagnostics_channel`. */
import { channel } from 'node:diagnostics_channel';

/** An address that may not call here for a while; published when a block begins or grows, on every node that hears of it. */
export interface BlockSet {
  readonly address: string;
  /** Milliseconds since the epoch. */
  readonly untilMs: number;
  readonly reason: string;
  /** Who blocked it: an operator as the API names him, or `gateway`. */
  readonly setBy: string;
}

/** An address that was let in again before its block ended. */
export interface BlockLifted {
  readonly address: string;
}

/** Payload: `BlockSet`. */
export const blockSet = channel('sage:block');
/** Payload: `BlockLifted`. */
export const blockLifted = channel('sage:unblock');
