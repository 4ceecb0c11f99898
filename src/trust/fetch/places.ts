/** Who may fetch now: how many at once, and how often strangers may make us. */
import { LRUCache } from 'lru-cache';
import { createBudget, type Rate, type Take } from './budget.ts';
import { FetchError } from './errors.ts';

/** Fetches under way, for the whole process: past it a fetch fails at once rather than queue. */
const FETCHES_MAX = 64;
/** Of these for whoever has proven himself before: naming slow hosts must not keep known callers from being asked about. */
const FETCHES_KNOWN = 16;
/** The same of one host, so that one that is slow does not take every place. */
const FETCHES_PER_HOST_MAX = 16;
/** Of these for whoever has proven himself before: many parties may live behind one host name, and some may be slow on purpose. */
const FETCHES_PER_HOST_KNOWN = 4;
/**
 * How often strangers may make us ask: a fetch takes some 1.5 ms of the processor, most of it TLS, twenty times what their
 * signatures take. The burst is for the first minute after a start, when every caller is a stranger.
 */
const STRANGERS: Rate = { perSecond: 100, burst: 1_000 };
/** The same of one host, which may be anybody's: we are not to be the ones who overrun it. */
const STRANGERS_PER_HOST: Rate = { perSecond: 20, burst: 200 };
/** Hosts whose rate is remembered. */
const HOSTS_MAX = 2_048;

export interface Places {
  /**
   * Takes a place; what is returned gives it back.
   * @param known whether it is about somebody who has proven himself before
   * @throws FetchError fetch_busy
   */
  enter(host: string, known: boolean): () => void;
  /** Places taken. */
  readonly taken: number;
}

/** @param now milliseconds of a clock that only goes forward */
export function createPlaces(now: () => number): Places {
  const strangers = createBudget(STRANGERS, now);
  const strangersOf = new LRUCache<string, Take>({ max: HOSTS_MAX });
  const perHost = new Map<string, number>();
  let taken = 0;

  function mayBeStranger(host: string): boolean {
    let ofHost = strangersOf.get(host);
    if (ofHost === undefined) {
      ofHost = createBudget(STRANGERS_PER_HOST, now);
      strangersOf.set(host, ofHost);
    }
    return ofHost() && strangers();
  }

  return {
    enter(host, known) {
      const here = perHost.get(host) ?? 0;
      const places = known ? FETCHES_MAX : FETCHES_MAX - FETCHES_KNOWN;
      const placesHere = known ? FETCHES_PER_HOST_MAX : FETCHES_PER_HOST_MAX - FETCHES_PER_HOST_KNOWN;
      if (taken >= places || here >= placesHere) throw new FetchError('fetch_busy', host);
      if (!known && !mayBeStranger(host)) throw new FetchError('fetch_busy', `${host}: asked too often`);
      taken += 1;
      perHost.set(host, here + 1);
      return () => {
        taken -= 1;
        const left = (perHost.get(host) ?? 1) - 1;
        if (left === 0) perHost.delete(host);
        else perHost.set(host, left);
      };
    },
    get taken() {
      return taken;
    },
  };
}
