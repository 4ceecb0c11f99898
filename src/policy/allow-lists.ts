/** The policy that decides when no policy file is given: each agent's own list of who may call it. */
import { assemble, type CompiledPolicy, revisionOf } from './compile.ts';
import { PolicyError } from './errors.ts';
import type { Rule } from './rule.ts';
import { didPatternFault } from './syntax.ts';

export interface AgentAllowList {
  readonly agentId: string;
  /** DIDs and DID prefixes followed by `*`; an empty list means nobody. */
  readonly allow: readonly string[];
  /** True for an agent with `authentication: none`: everybody may call it. */
  readonly open: boolean;
}

/** Rules are named `agent:<id>`. Throws `PolicyError` for a pattern that `didPatternFault` refuses. */
export function policyFromAllowLists(agents: readonly AgentAllowList[]): CompiledPolicy {
  const rules = agents.filter(({ allow, open }) => open || allow.length > 0).map(ruleOf);
  return assemble({
    rules,
    limits: {},
    threats: {},
    defaultEffect: 'deny',
    name: 'allow lists',
    revision: revisionOf(agents.map(({ agentId, allow, open }) => ({ agentId, allow, open }))),
  });
}

function ruleOf({ agentId, allow, open }: AgentAllowList): Rule {
  if (!/^[^/*]+$/.test(agentId)) {
    throw new PolicyError(
      'policy_allow_list_invalid',
      `the agent id \`${agentId}\` cannot be a path segment`,
    );
  }
  for (const pattern of open ? [] : allow) {
    const fault = didPatternFault(pattern);
    if (fault !== null) throw new PolicyError('policy_allow_list_invalid', `agent ${agentId}: ${fault}`);
  }
  return {
    id: `agent:${agentId}`,
    effect: 'allow',
    emergency: false,
    untilMs: Number.POSITIVE_INFINITY,
    priority: 0,
    shadow: false,
    reason: open
      ? `agent ${agentId} is open to everybody`
      : `the allow list of agent ${agentId} names this caller`,
    dids: open ? null : [...new Set(allow)],
    methods: null,
    paths: [['agents', agentId, '**']],
    region: null,
    headers: null,
    window: null,
  };
}
