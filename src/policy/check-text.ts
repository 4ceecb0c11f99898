/** A policy's text to a compiled policy, checked off the event loop; those that people ask for wait for each other. */
import { checkInWorker } from './check-in-worker.ts';
import { type CompiledPolicy, compilePolicy } from './compile.ts';
import { PolicyError } from './errors.ts';
import type { Fault } from './located-yaml.ts';

/** Each check may take ten seconds and 256 MiB, so they run one at a time; who finds so many waiting comes later. */
const WAITING_MAX = 8;

export type TextChecked =
  | { readonly ok: true; readonly policy: CompiledPolicy }
  | { readonly ok: false; readonly faults: readonly Fault[] };

/** Never rejects: a checker that dies or takes too long is a fault of the text. */
type Check = (text: string) => Promise<TextChecked>;

export interface TextChecks {
  /** For a policy that is to decide: at once. */
  readonly check: Check;
  /** For whoever asks, in his turn. Rejects with PolicyError policy_checks_busy. */
  readonly checkInTurn: Check;
}

/**
 * Remembers the last text that was found good: what was checked before it was stored is not checked again when it comes back
 * from the store.
 * @param regions whether there is a region database
 */
export function createTextChecks(regions: boolean): TextChecks {
  let last: Promise<unknown> = Promise.resolve();
  let waiting = 0;
  let known: { readonly text: string; readonly policy: CompiledPolicy } | null = null;

  const check: Check = async (text) => {
    if (known?.text === text) return { ok: true, policy: known.policy };
    try {
      const checked = await checkInWorker(text, regions);
      if (!checked.ok) return checked;
      const compiled = compilePolicy(checked.value, { regions });
      if (compiled.ok) known = { text, policy: compiled.policy };
      return compiled;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      return { ok: false, faults: [{ line: 0, column: 0, path: '', message }] };
    }
  };
  const checkInTurn: Check = async (text) => {
    if (waiting >= WAITING_MAX)
      throw new PolicyError('policy_checks_busy', 'too many policies are being checked; try again shortly');
    waiting += 1;
    const checking = last.then(() => check(text));
    last = checking;
    try {
      return await checking;
    } finally {
      waiting -= 1;
    }
  };
  return { check, checkInTurn };
}
