/** Traffic in which few are asked for often and most hardly ever. */

/** Draws agents so that the n-th is asked for in proportion to 1/n; repeatable. */
export function zipf(count: number, seed: number): () => number {
  const sums = new Float64Array(count);
  let sum = 0;
  for (let at = 0; at < count; at += 1) {
    sum += 1 / (at + 1);
    sums[at] = sum;
  }
  const random = mulberry32(seed);
  return () => {
    const goal = random() * sum;
    let [low, high] = [0, count - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] as number) < goal) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

export function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What the best fixed choice of entries would have hit. */
export function bestStatic(entries: number, count: number): number {
  let [held, all] = [0, 0];
  for (let at = 1; at <= count; at += 1) {
    all += 1 / at;
    if (at <= entries) held += 1 / at;
  }
  return held / all;
}
