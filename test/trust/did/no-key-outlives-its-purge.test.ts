import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { ResolvedKey } from '../../../src/trust/did/resolver.ts';
import {
  CHAIN_ID,
  type Identity,
  isKeyOf,
  keyIdOf,
  newIdentity,
  newWorld,
  settled,
  slot,
  type World,
} from './world.ts';

const AGENTS = 3;
const IDENTITIES = Array.from({ length: 40 }, newIdentity);

/** The steps whose every order must be safe. */
type Step =
  | { readonly do: 'find' | 'rotate' | 'revoke' | 'purge' | 'again' | 'warm'; readonly agent: number }
  | { readonly do: 'hold' | 'release' | 'flush' | 'settle' | 'later' }
  | { readonly do: 'admit'; readonly which: number };

const agent = fc.integer({ min: 0, max: AGENTS - 1 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('find' as const), agent }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('admit' as const), which: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('rotate', 'revoke', 'purge', 'again'), agent }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('warm' as const), agent }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('hold', 'release', 'flush', 'settle', 'later') }) },
);

interface Found {
  readonly agent: number;
  readonly key: ResolvedKey;
}

class Model {
  readonly world: World = newWorld({
    // Who was proven once is read ahead, at each purge and before the 10 ms are up that its keys last.
    bounds: { withdrawals: 2, chainEntries: 2, recentEntries: 2, frequentMin: 1, chainTtlMs: 10 },
  });
  readonly found: Found[] = [];
  /** The key that stands on chain for each agent, or none. */
  readonly truth: (Identity | null)[] = Array.from({ length: AGENTS }, () => null);
  /** Counts what changed, so that an answer can be held against what stood when it was handed out. */
  readonly #pending: Promise<void>[] = [];
  #release: () => void = () => undefined;
  #used = 0;

  async run(next: Step): Promise<void> {
    const { world } = this;
    if (next.do === 'find') this.#find(next.agent);
    else if (next.do === 'admit') this.#admit(next.which);
    else if (next.do === 'rotate')
      this.#set(next.agent, IDENTITIES[this.#used++ % IDENTITIES.length] ?? null);
    else if (next.do === 'revoke') this.#set(next.agent, null);
    else if (next.do === 'purge') world.resolver.purge({ did: keyIdOf(next.agent).did }, 'operator');
    else if (next.do === 'warm') world.resolver.warm(CHAIN_ID, [keyIdOf(next.agent).did]);
    else if (next.do === 'again') this.#set(next.agent, this.truth[next.agent] ?? null);
    else if (next.do === 'hold') {
      this.#release();
      this.#release = world.registry.hold();
    } else if (next.do === 'release') this.#release();
    else if (next.do === 'flush') world.resolver.purge({ all: true }, 'operator');
    else if (next.do === 'settle') await settled();
    else world.nowMs += 1;
  }

  async end(): Promise<void> {
    this.#release();
    await Promise.all(this.#pending);
    for (let which = 0; which < this.found.length; which += 1) this.#admit(which);
    for (let at = 0; at < AGENTS; at += 1) this.#find(at);
    this.world.resolver.close();
  }

  #set(at: number, identity: Identity | null): void {
    this.truth[at] = identity;
    this.world.change(at, identity === null ? [] : [slot('k1', identity)]);
  }

  #find(at: number): void {
    let answer: ResolvedKey | Promise<ResolvedKey>;
    try {
      answer = this.world.resolver.find(keyIdOf(at), { safeMethod: false });
    } catch {
      return;
    }
    if (answer instanceof Promise) {
      this.#pending.push(
        answer.then(
          (key) => void this.found.push({ agent: at, key }),
          () => undefined,
        ),
      );
      return;
    }
    // At once: this very moment the key must be the one on chain.
    this.#mustStand(at, answer);
    this.found.push({ agent: at, key: answer });
  }

  #admit(which: number): void {
    const found = this.found[which % Math.max(1, this.found.length)];
    if (found !== undefined && this.world.resolver.admit(found.key)) this.#mustStand(found.agent, found.key);
  }

  #mustStand(at: number, key: ResolvedKey): void {
    const identity = this.truth[at] ?? null;
    if (identity === null) throw new Error(`agent ${at} has no key, and one was served`);
    expect(isKeyOf(key, identity)).toBe(true);
  }
}

it('in no order of finds, answers, purges and admissions does a key outlive its purge', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
      const model = new Model();
      for (const next of steps) await model.run(next);
      await model.end();
    }),
    { numRuns: 400 },
  );
});
