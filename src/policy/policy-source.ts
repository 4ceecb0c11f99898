/**
 * The policy in force: the one that operators stored, else the one in the file, else what the agents' own allow lists
 * make. A stored policy wins because it is the only one that every node has.
 */
import { type AgentAllowList, policyFromAllowLists } from './allow-lists.ts';
import { createTextChecks, type TextChecks } from './check-text.ts';
import type { CompiledPolicy } from './compile.ts';
import { PolicyError } from './errors.ts';
import { policyRefused, policyReloaded } from './events.ts';
import { formatFaults } from './located-yaml.ts';
import { openPolicyFile, type PolicyFile, type PolicyFileOptions } from './policy-file.ts';

export interface PolicySourceOptions extends Omit<PolicyFileOptions, 'path' | 'decides'> {
  readonly onChange: (policy: CompiledPolicy) => void;
}

export interface PolicySource {
  current(): CompiledPolicy;
  /** Where the policy that decides comes from. */
  source(): 'allow_lists' | 'file' | 'store';
  /** The text of the policy that decides; null when the allow lists do. */
  text(): string | null;
  /** Checks a text as if it were to be stored; changes nothing. @throws PolicyError policy_checks_busy */
  readonly check: TextChecks['checkInTurn'];
  /**
   * Follows a new configuration. When the policy file named there cannot be used, nothing changes.
   * @throws PolicyError with every fault.
   */
  configure(file: string | null, agents: readonly AgentAllowList[]): Promise<void>;
  /**
   * Puts a stored text in force, or with null takes the stored policy away.
   * @throws PolicyError for a text that cannot be used here; what decided goes on deciding.
   */
  store(text: string | null): Promise<void>;
  close(): Promise<void>;
}

/** How faults and events name the stored policy, where a file has its path. */
const STORED = 'stored policy';

/** @throws PolicyError when the policy cannot be used: a gateway does not start on half a policy. */
export async function openPolicySource(
  file: string | null,
  agents: readonly AgentAllowList[],
  options: PolicySourceOptions,
): Promise<PolicySource> {
  const checks = createTextChecks(options.regions);
  let path: string | null = null;
  let followed: PolicyFile | null = null;
  let listed = policyFromAllowLists([]);
  let stored: { readonly text: string; readonly policy: CompiledPolicy } | null = null;
  const current = (): CompiledPolicy => stored?.policy ?? followed?.current() ?? listed;

  const configure = async (nextPath: string | null, nextAgents: readonly AgentAllowList[]): Promise<void> => {
    const nextListed = policyFromAllowLists(nextAgents);
    if (nextPath !== null && nextPath === path) {
      listed = nextListed;
      return;
    }
    const fileOptions = { ...options, decides: () => stored === null };
    const next = nextPath === null ? null : await openPolicyFile({ ...fileOptions, path: nextPath });
    const before = followed;
    path = nextPath;
    followed = next;
    listed = nextListed;
    await before?.close();
    options.onFault?.('');
    if (next === null && stored === null) options.onChange(listed);
  };

  const announce = (previousRevision: string): void => {
    const { revision, rules } = current();
    const event = { path: stored === null ? (path ?? '') : STORED, revision, previousRevision, rules };
    options.log.info(event, stored === null ? 'the stored policy was taken away' : 'stored policy in force');
    policyReloaded.publish(event);
    options.onChange(current());
  };

  const store = async (text: string | null): Promise<void> => {
    if (text === (stored?.text ?? null)) return;
    const checked = text === null ? null : await checks.check(text);
    if (checked !== null && !checked.ok) {
      const faults = formatFaults(STORED, checked.faults);
      const event = { path: STORED, revision: current().revision, faults };
      options.log.error(event, 'policy refused');
      policyRefused.publish(event);
      throw new PolicyError('policy_stored_invalid', `the stored policy cannot be used here:\n${faults}`);
    }
    const { revision } = current();
    stored = text === null || checked === null ? null : { text, policy: checked.policy };
    announce(revision);
  };

  await configure(file, agents);
  return {
    current,
    source: () => (stored !== null ? 'store' : followed !== null ? 'file' : 'allow_lists'),
    text: () => stored?.text ?? followed?.text() ?? null,
    check: checks.checkInTurn,
    configure,
    store,
    close: async () => followed?.close(),
  };
}
