/** A policy file's text, through every check there is. Takes long for large files, so it runs in a worker. */
import { runCases } from './cases.ts';
import { compilePolicy } from './compile.ts';
import { PolicySet, type PolicyValue } from './language.ts';
import { type Fault, readYaml } from './located-yaml.ts';

export type CheckedPolicy =
  | { readonly ok: true; readonly value: PolicyValue }
  | { readonly ok: false; readonly faults: readonly Fault[] };

/** Reads, compiles and runs the file's own tests. Both results can be sent between threads. */
export function checkPolicyText(text: string, regions: boolean): CheckedPolicy {
  const read = readYaml(text, PolicySet);
  if (!read.ok) return read;
  const options = { locate: read.locate, regions };
  const compiled = compilePolicy(read.value, options);
  if (!compiled.ok) return compiled;
  const faults = runCases(compiled.policy, read.value, options);
  return faults.length > 0 ? { ok: false, faults } : { ok: true, value: read.value };
}
