/**
 * Who is blocked, in words. The table that decides holds hashes only, so that a stranger cannot make it grow; what people
 * are shown stands beside it, in a map of its own bound: an address that found no room there is blocked all the same.
 */
import type { AddressKey } from './address.ts';
import { blockLifted, blockSet } from './events.ts';

/** What is said of a block. */
export interface BlockNote {
  readonly reason: string;
  readonly setBy: string;
}

export interface BlockView extends BlockNote {
  readonly address: AddressKey;
  /** Milliseconds since the epoch. */
  readonly untilMs: number;
}

interface Noted extends BlockView {
  /** When this node first heard of it. */
  readonly sinceMs: number;
}

/** As many as Redis keeps; three megabytes. */
const NOTES_MAX = 10_000;
/** Nobody reads more of a reason. */
const WORDS_LENGTH_MAX = 512;
/** A block told of twice ends at two moments, since each time what is left is counted from its arrival. */
const SAME_BLOCK_MS = 1_000;

/** A note as it travels between nodes, and back: what cannot be read is no note. */
export const formatNote = ({ reason, setBy }: BlockNote): string =>
  JSON.stringify([reason.slice(0, WORDS_LENGTH_MAX), setBy.slice(0, WORDS_LENGTH_MAX)]);

export function parseNote(text: string): BlockNote {
  let words: unknown;
  try {
    words = JSON.parse(text);
  } catch {
    // Of a release that sends none.
    words = [];
  }
  const [reason, setBy] = Array.isArray(words) ? words : [];
  const word = (value: unknown): string =>
    typeof value === 'string' ? value.slice(0, WORDS_LENGTH_MAX) : '';
  return { reason: word(reason), setBy: word(setBy) };
}

export interface BlockNotes {
  note(address: AddressKey, untilMs: number, note: BlockNote, nowMs: number): void;
  /** Forgets one; what was set after `beforeMs` stays. Returns whether it was forgotten, or never known. */
  forget(address: AddressKey, beforeMs: number): boolean;
  /** Those in force, by address. */
  list(nowMs: number): readonly BlockView[];
}

export function createBlockNotes(): BlockNotes {
  const noted = new Map<AddressKey, Noted>();
  const sweep = (nowMs: number): void => {
    for (const [address, { untilMs }] of noted) if (untilMs <= nowMs) noted.delete(address);
  };
  return {
    note(address, untilMs, { reason, setBy }, nowMs) {
      const known = noted.get(address);
      if (known !== undefined && known.untilMs + SAME_BLOCK_MS >= untilMs && known.untilMs > nowMs) return;
      if (blockSet.hasSubscribers) blockSet.publish({ address, untilMs, reason, setBy });
      if (known === undefined && noted.size >= NOTES_MAX) sweep(nowMs);
      if (known === undefined && noted.size >= NOTES_MAX) return;
      noted.set(address, { address, untilMs, reason, setBy, sinceMs: nowMs });
    },
    forget(address, beforeMs) {
      const known = noted.get(address);
      if (known !== undefined && known.sinceMs > beforeMs) return false;
      if (noted.delete(address) && blockLifted.hasSubscribers) blockLifted.publish({ address });
      return true;
    },
    list(nowMs) {
      sweep(nowMs);
      return Array.from(noted.values(), ({ address, untilMs, reason, setBy }) => ({
        address,
        untilMs,
        reason,
        setBy,
      })).sort((a, b) => (a.address < b.address ? -1 : 1));
    },
  };
}
