/**
 * The last events of this node, by number: what a client that was away for a moment is told of. Each is made into text
 * once, whoever reads it.
 */

/** Some minutes of a busy gateway; an event has about half a kilobyte, and at most some four. */
const EVENTS_MAX = 10_000;

export interface StreamEvent {
  readonly type: string;
  /** As it is sent. */
  readonly text: string;
}

export interface Ring {
  /** The number of the newest event; 0 before the first. */
  readonly last: number;
  /** The number of the oldest that is still there. */
  readonly first: number;
  append(type: string, data: object, atMs: number): void;
  /** @param n from `first` to `last` */
  get(n: number): StreamEvent | undefined;
  idOf(n: number): string;
  /** What comes after the event of this id; null when it is not one of this node's, or some after it are gone. */
  after(id: string): number | null;
}

/** @param node names this process; another one, a later one of this machine included, has numbers of its own */
export function createRing(node: string): Ring {
  const events: StreamEvent[] = [];
  let last = 0;
  const first = (): number => Math.max(1, last - EVENTS_MAX + 1);
  const idOf = (n: number): string => `${node}-${n}`;
  return {
    get last() {
      return last;
    },
    get first() {
      return first();
    },
    append(type, data, atMs) {
      last++;
      const event = { id: idOf(last), at: new Date(atMs).toISOString(), type, node, data };
      events[last % EVENTS_MAX] = { type, text: JSON.stringify(event) };
    },
    get: (n) => (n < first() || n > last ? undefined : events[n % EVENTS_MAX]),
    idOf,
    after(id) {
      const n = Number(id.slice(node.length + 1));
      if (idOf(n) !== id || n > last || n + 1 < first()) return null;
      return n + 1;
    },
  };
}
