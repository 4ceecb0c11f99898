import { type CompiledPolicy, compilePolicy } from '../../src/policy/compile.ts';
import type { PolicyRequest } from '../../src/policy/decide.ts';
import { PolicySet, type PolicyValue, type RuleValue } from '../../src/policy/language.ts';
import { readYaml } from '../../src/policy/located-yaml.ts';

export const HEAD = 'apiVersion: sage/v1\nkind: PolicySet\n';

/** A policy from YAML without its first two lines, or the faults as one text. */
export function policyFromYaml(text: string, regions = true): CompiledPolicy {
  const read = readYaml(HEAD + text, PolicySet);
  if (!read.ok) throw new Error(JSON.stringify(read.faults));
  return policyOf(read.value, regions);
}

export function policyOf(value: Omit<PolicyValue, 'apiVersion' | 'kind'>, regions = true): CompiledPolicy {
  const result = compilePolicy({ ...value, apiVersion: 'sage/v1', kind: 'PolicySet' }, { regions });
  if (!result.ok) throw new Error(JSON.stringify(result.faults));
  return result.policy;
}

export function policyOfRules(...rules: RuleValue[]): CompiledPolicy {
  return policyOf({ rules });
}

export interface RequestParts {
  did?: string;
  method?: string;
  path?: string;
  region?: string | null;
  headers?: Record<string, string>;
  /** Headers the signature covers; all of them when left out. */
  covered?: string[];
}

export function request(parts: RequestParts = {}): PolicyRequest {
  const headers = parts.headers ?? {};
  return {
    did: parts.did ?? 'did:web:acme.com',
    method: parts.method ?? 'GET',
    path: parts.path ?? '/agents/weather/today',
    address: '192.0.2.1',
    header: (name) => headers[name],
    covers: (name) => (parts.covered ?? Object.keys(headers)).includes(name),
    region: () => parts.region ?? null,
  };
}
