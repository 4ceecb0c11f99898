/**
 * A lock word in shared memory. A critical section here is some 50 ns of plain loads and stores, so the wait is
 * first a short spin and then sleeps of a millisecond (Node allows `Atomics.wait` on its main thread); there
 * is no notify, which would cost every release what only a rare waiter needs.
 */
import { threadId } from 'node:worker_threads';

const FREE = 0;
/** This thread's mark on a lock it holds; never 0. */
const OWN = threadId + 1;
/** Tries before sleeping: the holder is then most likely not running at all. */
const SPINS_MAX = 400;
/** Sleeps of 1 ms before giving up: longer than any time slice, short enough for a request to be refused. */
const SLEEPS_MAX = 100;

/** False when the lock could not be had; the caller must then behave as if the table were full. */
export function acquire(locks: Int32Array, at: number): boolean {
  return Atomics.compareExchange(locks, at, FREE, OWN) === FREE || acquireSlowly(locks, at);
}

export function release(locks: Int32Array, at: number): void {
  Atomics.store(locks, at, FREE);
}

function acquireSlowly(locks: Int32Array, at: number): boolean {
  for (let spin = 0; spin < SPINS_MAX; spin += 1) {
    if (Atomics.load(locks, at) === FREE && Atomics.compareExchange(locks, at, FREE, OWN) === FREE)
      return true;
  }
  for (let sleep = 0; sleep < SLEEPS_MAX; sleep += 1) {
    const holder = Atomics.compareExchange(locks, at, FREE, OWN);
    if (holder === FREE) return true;
    Atomics.wait(locks, at, holder, 1);
  }
  return false;
}

/** Frees every lock a thread held when it was terminated. Only for a thread that certainly runs no more. */
export function releaseHeldBy(locks: Int32Array, deadThreadId: number): number {
  let freed = 0;
  for (let at = 0; at < locks.length; at += 1) {
    if (Atomics.compareExchange(locks, at, deadThreadId + 1, FREE) === deadThreadId + 1) freed += 1;
  }
  return freed;
}
