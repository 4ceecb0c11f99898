/**
 * From what the rooms publish to events for operators. All of what happens rarely, and a sample of the decisions, chosen
 * as for their log: a busy gateway decides more often than anybody reads, and must not push what is rare out of the ring.
 */
import type { RequestRecord } from '../../gateway/record.ts';
import { boundText, decisionRow, decisionView, type RowContext } from '../telemetry/decision-row.ts';
import { createDecisionSample } from '../telemetry/decision-sample.ts';
import { type Events, listen } from '../telemetry/events.ts';
import { createRing, type Ring } from './ring.ts';

export const EVENT_TYPES = [
  'decision',
  'block',
  'unblock',
  'circuit',
  'revocation',
  'revocation_lifted',
  'policy',
  'agents',
  'chain',
] as const;
export type EventType = (typeof EVENT_TYPES)[number];

/** Decisions a second, over time, for every client; at this rate the ring goes back at least a minute and a half. */
const DECISIONS_PER_SECOND = 100;
/** How late a decision is. */
const SLICE_MS = 200;
/** Blocks a second that the gateway sets by itself: a stranger with many addresses chooses how many there are. */
const BLOCKS_PER_SECOND = 20;
/** How the store names the gateway as the one who blocked. */
const BY_GATEWAY = 'gateway';
/** Characters of a text that an operator or a configuration chose. */
const TEXT_LENGTH_MAX = 512;
/** Chains remembered, so that only a change of connection is an event; heads come with every block. */
const CHAINS_MAX = 32;

export interface FeedOptions extends RowContext {
  readonly onError: (name: keyof Events, error: unknown) => void;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Monotonic milliseconds. */
  readonly monotonicNow: () => number;
  /** In [0, 1). */
  readonly random: () => number;
}

export interface Feed {
  readonly ring: Ring;
  /** Calls `listener` after one or more events were appended; one listener. */
  onAppended(listener: () => void): void;
  close(): void;
}

const short = (text: string): string => boundText(text, TEXT_LENGTH_MAX);
const orNull = (text: string): string | null => (text === '' ? null : short(text));

/** Appends the decisions that were chosen, with how many were not since the one before. */
function followDecisions(options: FeedOptions, append: (type: EventType, data: object) => void) {
  const { random, monotonicNow } = options;
  const sample = createDecisionSample({ perSecond: DECISIONS_PER_SECOND, random, now: monotonicNow() });
  let told = 0;
  return {
    offer: (record: RequestRecord): void => sample.offer(record),
    tell(): void {
      for (const record of sample.take(monotonicNow())) {
        const row = decisionRow(record, options);
        const leftOut = sample.leftOut.refused + sample.leftOut.allowed;
        append('decision', {
          ...decisionView(row, short),
          total_ms: Math.round((record.finishedAt - record.startedAt) * 1_000) / 1_000,
          left_out: leftOut - told,
        });
        told = leftOut;
      }
    },
  };
}

/** Every block that an operator set, and of the gateway's own as many as may be, with how many were left out before. */
function followBlocks(options: FeedOptions, append: (type: EventType, data: object) => void) {
  const { monotonicNow } = options;
  let tokens = BLOCKS_PER_SECOND;
  let refilledAt = monotonicNow();
  let leftOut = 0;
  return ({ address, untilMs, reason, setBy }: Events['sage:block']): void => {
    if (setBy === BY_GATEWAY) {
      const at = monotonicNow();
      tokens = Math.min(BLOCKS_PER_SECOND, tokens + ((at - refilledAt) / 1_000) * BLOCKS_PER_SECOND);
      refilledAt = at;
      if (tokens < 1) {
        leftOut++;
        return;
      }
      tokens--;
    }
    const until = new Date(untilMs).toISOString();
    append('block', { address, until, reason: short(reason), set_by: short(setBy), left_out: leftOut });
    leftOut = 0;
  };
}

/** Subscribes at once. */
export function openFeed(options: FeedOptions): Feed {
  const { node, onError, now } = options;
  const ring = createRing(node);
  let appended = (): void => undefined;
  const append = (type: EventType, data: object): void => {
    ring.append(type, data, now());
    appended();
  };
  const decisions = followDecisions(options, append);
  const chains = new Map<string, boolean>();
  const on = <N extends keyof Events>(name: N, handler: (event: Events[N]) => void): (() => void) =>
    listen(name, handler, onError);

  const subscriptions = [
    on('sage:request.finished', (record) => decisions.offer(record)),
    on('sage:circuit', ({ agentId, instance, state }) =>
      append('circuit', { agent_id: agentId, instance: short(instance), state }),
    ),
    on('sage:block', followBlocks(options, append)),
    on('sage:unblock', ({ address }) => append('unblock', { address })),
    on('sage:revocation', ({ id, did, keyId, reason, by }) =>
      append('revocation', {
        id,
        did: short(did),
        key_id: orNull(keyId ?? ''),
        reason: short(reason),
        by: short(by),
      }),
    ),
    on('sage:revocation.lifted', ({ id, did, keyId }) =>
      append('revocation_lifted', { id, did: short(did), key_id: orNull(keyId ?? '') }),
    ),
    // Whatever decides now, wherever it comes from; and who did it, when an operator did.
    on('sage:policy.reloaded', ({ revision, previousRevision, rules }) =>
      append('policy', { revision, previous_revision: orNull(previousRevision), rules }),
    ),
    on('sage:policy', ({ sequence, revision, source, by }) =>
      append('policy', { revision, sequence, source, by: short(by) }),
    ),
    on('sage:agents', ({ id, change, by }) => append('agents', { id: short(id), change, by: orNull(by) })),
    on('sage:chain.head', ({ chainId, head, connected }) => {
      const chain = String(chainId);
      const before = chains.get(chain);
      if (before === connected || (before === undefined && chains.size >= CHAINS_MAX)) return;
      chains.set(chain, connected);
      append('chain', { chain, connected, head: head === null ? null : String(head) });
    }),
  ];
  const timer = setInterval(() => decisions.tell(), SLICE_MS);
  return {
    ring,
    onAppended(listener) {
      appended = listener;
    },
    close() {
      clearInterval(timer);
      for (const stop of subscriptions) stop();
    },
  };
}
