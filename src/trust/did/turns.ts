import { DidError } from './errors.ts';

/**
 * Lets one piece of work run at a time and others wait for it, up to a bound; beyond it they fail at once.
 * @throws DidError did_unresolvable
 */
export function createTurns(waitingMax: number): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  let waiting = 0;
  return async (work) => {
    if (waiting >= waitingMax)
      throw new DidError('did_unresolvable', `${waitingMax} logs wait to be verified`);
    waiting += 1;
    const mine = last.then(work).finally(() => {
      waiting -= 1;
    });
    last = mine.catch(() => undefined);
    return mine;
  };
}
