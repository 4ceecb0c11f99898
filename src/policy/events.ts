/** What this room publishes on `node:diagnostics_channel`. */
import { channel } from 'node:diagnostics_channel';

export interface PolicyReloaded {
  readonly path: string;
  readonly revision: string;
  /** Empty at the first load. */
  readonly previousRevision: string;
  readonly rules: number;
}

export interface PolicyRefused {
  readonly path: string;
  /** The revision that goes on deciding; empty when there is none. */
  readonly revision: string;
  /** Faults as `formatFaults` gives them. */
  readonly faults: string;
}

/** Payload: `PolicyReloaded`. */
export const policyReloaded = channel('sage:policy.reloaded');
/** Payload: `PolicyRefused`. */
export const policyRefused = channel('sage:policy.refused');

/** Operators replaced the stored policy, or took it away; published on every node once it decides there. */
export interface PolicyStored {
  readonly sequence: number;
  /** Of what decides now. */
  readonly revision: string;
  readonly source: 'allow_lists' | 'file' | 'store';
  /** Who did it. */
  readonly by: string;
}

/** Payload: `PolicyStored`. */
export const policyStored = channel('sage:policy');
