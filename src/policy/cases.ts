/** The tests that a policy file carries about itself: a file that fails one of them is refused as a whole. */
import { type CompiledPolicy, type CompileOptions, locateAll } from './compile.ts';
import { decide, type PolicyRequest } from './decide.ts';
import type { PolicyValue, TestValue } from './language.ts';
import type { Fault } from './located-yaml.ts';
import type { Complaint } from './schema-faults.ts';
import { parseInstant } from './syntax.ts';

/** Runs them all; each that fails is a fault at its own line. */
export function runCases(
  policy: CompiledPolicy,
  value: PolicyValue,
  options: CompileOptions,
): readonly Fault[] {
  const complaints: Complaint[] = [];
  for (const [index, test] of (value.tests ?? []).entries()) {
    const message = runCase(policy, test);
    if (message !== null)
      complaints.push({ path: ['tests', index], message: `test \`${test.name}\`: ${message}` });
  }
  return locateAll(complaints, options);
}

function runCase(policy: CompiledPolicy, { request, expect }: TestValue): string | null {
  if (policy.usesTime && request.now === undefined)
    return 'needs `now`, because rules here depend on the time';
  const rules = policy.ordered.map((rule) => rule.id);
  if (expect.rule !== undefined && expect.rule !== 'default' && !rules.includes(expect.rule)) {
    return `expects the rule \`${expect.rule}\`, which does not exist`;
  }
  const decision = decide(
    policy,
    asRequest(request),
    request.now === undefined ? 0 : parseInstant(request.now),
  );
  const got = `${decision.effect} by \`${decision.ruleId}\` (${decision.reason})`;
  if ((decision.effect === 'allow') !== expect.allow)
    return `expected ${expect.allow ? 'allow' : 'deny'}, got ${got}`;
  if (expect.rule !== undefined && expect.rule !== decision.ruleId)
    return `expected rule \`${expect.rule}\`, got ${got}`;
  return null;
}

/** Headers given in a test count as covered by the signature. */
function asRequest(request: TestValue['request']): PolicyRequest {
  const headers = new Map(
    Object.entries(request.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]),
  );
  return {
    did: request.did ?? '',
    method: request.method,
    path: request.path,
    address: '',
    header: (name) => headers.get(name),
    covers: (name) => headers.has(name),
    region: () => request.region ?? null,
  };
}
