/** The decision: which rule, what effect, why. Synchronous, without a clock, and nearly without allocation. */
import type { CompiledPolicy } from './compile.ts';
import { isMatchablePath } from './path-trie.ts';
import type { Rule } from './rule.ts';
import { type IndexedRequest, lookUp, matchedWord, type RuleIndex } from './rule-index.ts';

/** Shadow rules named in one decision: a record is bounded; `explain` names them all. */
const SHADOW_REPORTED_MAX = 16;
const NONE: readonly string[] = Object.freeze([]);

/**
 * The request as rules see it. `header`, `covers` and `region` are called only when a rule asks, and must not
 * themselves call `decide`: the look-up's scratch memory is shared.
 */
export interface PolicyRequest extends IndexedRequest {
  /** The source address after trusted proxies. */
  readonly address: string;
}

export interface Decision {
  readonly effect: 'allow' | 'deny';
  /** `default` when no rule matched. */
  readonly ruleId: string;
  readonly reason: string;
  /** Shadow rules each of which would, were it enforced, have turned this decision round. */
  readonly shadow: readonly string[];
}

interface MatchedRule {
  readonly ruleId: string;
  readonly effect: 'allow' | 'deny';
  readonly emergency: boolean;
  readonly priority: number;
  readonly shadow: boolean;
  readonly reason: string;
}

/** The decisions of a policy, made once: the common case hands out one of these. */
export interface Verdicts {
  readonly rules: readonly Decision[];
  readonly byDefault: Decision;
  /** For a path that must not be matched: too deep, or not normalised. */
  readonly badPath: Decision;
}

export function makeVerdicts(rules: readonly Rule[], defaultEffect: 'allow' | 'deny'): Verdicts {
  const verdict = (effect: 'allow' | 'deny', ruleId: string, reason: string): Decision =>
    Object.freeze({ effect, ruleId, reason, shadow: NONE });
  return {
    rules: rules.map((rule) => verdict(rule.effect, rule.id, rule.reason)),
    byDefault: verdict(
      defaultEffect,
      'default',
      defaultEffect === 'deny' ? 'no rule allows this request' : 'no rule denies this request',
    ),
    badPath: verdict('deny', 'default', 'the path is too deep or not normalised'),
  };
}

/** What a rule of this policy, or `default`, says for itself; empty for one that it does not have. */
export function reasonOf({ verdicts }: CompiledPolicy, ruleId: string): string {
  const { rules, byDefault } = verdicts;
  const verdict = ruleId === byDefault.ruleId ? byDefault : rules.find((one) => one.ruleId === ruleId);
  return verdict?.reason ?? '';
}

/** `nowMs`: milliseconds since the epoch. The result is frozen and may be kept. */
export function decide(policy: CompiledPolicy, request: PolicyRequest, nowMs: number): Decision {
  const { index, verdicts } = policy;
  // Also for a policy without path rules: what was decided must not depend on what was skipped.
  if (index.paths === null && !isMatchablePath(request.path)) return verdicts.badPath;
  if (!lookUp(index, request, nowMs)) return verdicts.badPath;
  if (policy.shadowBits !== null) return decideWithShadow(policy, policy.shadowBits);
  for (let word = 0; word < index.words; word++) {
    const bits = matchedWord(index, word);
    if (bits !== 0) return verdicts.rules[word * 32 + Math.clz32(bits)] as Decision;
  }
  return verdicts.byDefault;
}

/**
 * A shadow rule would have turned the decision round if it stands before the rule that decided and has the other effect.
 * Those behind it could not have acted.
 */
function decideWithShadow(policy: CompiledPolicy, shadowBits: Uint32Array): Decision {
  const { index, verdicts } = policy;
  let passed: Decision[] | null = null;
  let decision = verdicts.byDefault;
  search: for (let word = 0; word < index.words; word++) {
    let bits = matchedWord(index, word);
    while (bits !== 0) {
      const first = Math.clz32(bits);
      const verdict = verdicts.rules[word * 32 + first] as Decision;
      const mask = 0x8000_0000 >>> first;
      if (((shadowBits[word] as number) & mask) === 0) {
        decision = verdict;
        break search;
      }
      passed ??= [];
      passed.push(verdict);
      bits &= ~mask;
    }
  }
  if (passed === null) return decision;
  const { effect, ruleId, reason } = decision;
  const others = passed.filter((verdict) => verdict.effect !== effect).map((verdict) => verdict.ruleId);
  if (others.length === 0) return decision;
  return Object.freeze({
    effect,
    ruleId,
    reason,
    shadow: Object.freeze(others.slice(0, SHADOW_REPORTED_MAX)),
  });
}

/** The decision, and every rule that matches in order of precedence. For operators: it allocates. */
export function explain(
  policy: CompiledPolicy,
  request: PolicyRequest,
  nowMs: number,
): { readonly decision: Decision; readonly matched: readonly MatchedRule[] } {
  const decision = decide(policy, request, nowMs);
  if (decision === policy.verdicts.badPath) return { decision, matched: [] };
  const matched = matchedRules(policy.index, policy.ordered).map((rule) => ({
    ruleId: rule.id,
    effect: rule.effect,
    emergency: rule.emergency,
    priority: rule.priority,
    shadow: rule.shadow,
    reason: rule.reason,
  }));
  return { decision, matched };
}

function matchedRules(index: RuleIndex, ordered: readonly Rule[]): Rule[] {
  const rules: Rule[] = [];
  for (let word = 0; word < index.words; word++) {
    for (let bits = matchedWord(index, word); bits !== 0; ) {
      const first = Math.clz32(bits);
      rules.push(ordered[word * 32 + first] as Rule);
      bits &= ~(0x8000_0000 >>> first);
    }
  }
  return rules;
}
