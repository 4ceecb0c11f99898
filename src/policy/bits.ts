/**
 * Sets of rules as bits. Rule *i* in precedence order is bit *i*, counted from the top of each 32-bit word, so that
 * `Math.clz32` of a word finds the first rule in it.
 */

export type Bits = Uint32Array;

/** A set of few rules as alternating word indices and masks: merging it costs what it holds, not what the policy holds. */
export type SparseBits = Int32Array;

const SETS_PER_SLAB = 64;

export function setBit(bits: Bits, index: number): void {
  const word = index >>> 5;
  bits[word] = (bits[word] ?? 0) | (0x8000_0000 >>> (index & 31));
}

/** The bits of `indices`, which ascend. */
export function sparse(indices: Iterable<number>): SparseBits {
  const pairs: number[] = [];
  for (const index of indices) {
    const word = index >>> 5;
    const mask = (0x8000_0000 >>> (index & 31)) | 0;
    const last = pairs.length - 2;
    if (last >= 0 && pairs[last] === word) pairs[last + 1] = (pairs[last + 1] ?? 0) | mask;
    else pairs.push(word, mask);
  }
  return Int32Array.from(pairs);
}

export function mergeSparse(into: Bits, from: SparseBits): void {
  for (let i = 0; i < from.length; i += 2) {
    const word = from[i] as number;
    into[word] = (into[word] as number) | (from[i + 1] as number);
  }
}

/** A loop, because `TypedArray.set` costs more than the copy itself at these lengths. */
export function copyBits(into: Bits, from: Bits): void {
  for (let word = 0; word < into.length; word++) into[word] = from[word] as number;
}

/**
 * Makes bit sets, each distinct one once: ten thousand DIDs of one rule share one array. They are cut from slabs, because an
 * `ArrayBuffer` for each would cost the garbage collector more than all the rest of compiling.
 */
export function bitsFactory(words: number): (indices: readonly number[]) => Bits {
  const made = new Map<string, Bits>();
  let slab = new Uint32Array(0);
  let used = 0;
  return (indices) => {
    const key = indices.join();
    let bits = made.get(key);
    if (bits === undefined) {
      if (used + words > slab.length) {
        slab = new Uint32Array(words * SETS_PER_SLAB);
        used = 0;
      }
      bits = slab.subarray(used, used + words);
      used += words;
      for (const index of indices) setBit(bits, index);
      made.set(key, bits);
    }
    return bits;
  };
}
