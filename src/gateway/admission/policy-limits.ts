import type { CompiledPolicy } from '../../policy/compile.ts';
import type { LimitRule } from '../../store/gcra.ts';
import type { AdmissionLimits } from './admission.ts';

/** Calls at once when a policy names no burst: a fifth of a period's rate, as `burst: 20` is of `100/m`. */
const BURST_SHARE = 0.2;

function ruleOf(
  limit: { readonly rate: number; readonly periodMs: number; readonly burst?: number } | undefined,
): LimitRule | undefined {
  if (limit === undefined) return undefined;
  const { rate, periodMs, burst = Math.max(1, Math.ceil(rate * BURST_SHARE)) } = limit;
  return { ratePerPeriod: rate, periodMs, burst };
}

/** What a policy says about limits, in admission's terms; what it leaves out keeps its default. */
export function admissionLimits({
  limits,
  threats,
}: Pick<CompiledPolicy, 'limits' | 'threats'>): AdmissionLimits {
  return {
    perAddress: ruleOf(limits.perAddress),
    perDid: ruleOf(limits.perDid),
    blockOnSignatureFailure: threats.blockOnSignatureFailure,
  };
}
