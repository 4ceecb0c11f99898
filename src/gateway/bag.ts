/**
 * Live objects to be found again: open exchanges, responses in flight. An array rather than a Set: a Set that is added
 * to and deleted from grows a chain of outgrown tables, each still holding what was in it. Once one of them is in the
 * old generation, everything put in survives its garbage collections until the next full one; that cost 10 us of CPU
 * a request.
 */
const SLOT = Symbol('sage.slot');

/** An object stands in one bag at a time. */
export interface Bagged {
  [SLOT]?: number;
}

export class Bag<T extends object> implements Iterable<T> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  add(item: T): void {
    (item as Bagged)[SLOT] = this.#items.push(item) - 1;
  }

  /** Does nothing for what is not in it. */
  delete(item: T): void {
    const slot = (item as Bagged)[SLOT];
    if (slot === undefined || this.#items[slot] !== item) return;
    // The last one takes its place.
    const last = this.#items.pop() as T;
    if (last === item) return;
    this.#items[slot] = last;
    (last as Bagged)[SLOT] = slot;
  }

  /** A copy, so that what is found may be deleted on the way. */
  [Symbol.iterator](): Iterator<T> {
    return this.#items.slice()[Symbol.iterator]();
  }
}
