/** The policy in force: from its file, or, when there is none, from the agents' own allow lists. */
import { type AgentAllowList, policyFromAllowLists } from './allow-lists.ts';
import type { CompiledPolicy } from './compile.ts';
import { openPolicyFile, type PolicyFile, type PolicyFileOptions } from './policy-file.ts';

export interface PolicySourceOptions extends Omit<PolicyFileOptions, 'path'> {
  readonly onChange: (policy: CompiledPolicy) => void;
}

export interface PolicySource {
  current(): CompiledPolicy;
  /**
   * Follows a new configuration. When the policy file named there cannot be used, nothing changes.
   * @throws PolicyError with every fault.
   */
  configure(file: string | null, agents: readonly AgentAllowList[]): Promise<void>;
  close(): Promise<void>;
}

/** @throws PolicyError when the policy cannot be used: a gateway does not start on half a policy. */
export async function openPolicySource(
  file: string | null,
  agents: readonly AgentAllowList[],
  options: PolicySourceOptions,
): Promise<PolicySource> {
  let path: string | null = null;
  let followed: PolicyFile | null = null;
  let listed = policyFromAllowLists([]);

  const configure = async (nextPath: string | null, nextAgents: readonly AgentAllowList[]): Promise<void> => {
    const nextListed = policyFromAllowLists(nextAgents);
    if (nextPath !== null && nextPath === path) {
      listed = nextListed;
      return;
    }
    const next = nextPath === null ? null : await openPolicyFile({ ...options, path: nextPath });
    const before = followed;
    path = nextPath;
    followed = next;
    listed = nextListed;
    await before?.close();
    if (next === null) options.onChange(listed);
  };

  await configure(file, agents);
  return {
    current: () => followed?.current() ?? listed,
    configure,
    close: async () => followed?.close(),
  };
}
