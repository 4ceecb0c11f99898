/**
 * What deciding costs: one thread, 1,000 rules. `eval_per_s_1000`: requests of every kind that the rules were made for, some
 * matching early, some late, some not at all. `eval_worst_per_s_1000`: every rule asks about everything and none matches.
 */
import { performance } from 'node:perf_hooks';
import { pathToFileURL } from 'node:url';
import { type CompiledPolicy, compilePolicy } from '../../src/policy/compile.ts';
import { decide, type PolicyRequest } from '../../src/policy/decide.ts';
import type { PolicyValue, RuleValue } from '../../src/policy/language.ts';

const RULES = 1_000;
/** Distinct requests, so that neither branch prediction nor string caches see one message again and again. */
const REQUESTS = 512;
const EVALUATIONS = 400_000;
const PASSES = 3;
const NOW_MS = Date.parse('2026-11-20T10:00:30Z');

interface PolicyFigures {
  readonly eval_per_s_1000: number;
  readonly eval_worst_per_s_1000: number;
  readonly compile_ms_1000: number;
}

export function measurePolicy(): PolicyFigures {
  const mixed = compiled(mixedRules());
  const worst = compiled(catchAllRules());
  const requests = mixedRequests();
  const value = policyOf(mixedRules());
  return {
    eval_per_s_1000: median(() => perSecond(mixed, requests)),
    eval_worst_per_s_1000: median(() => perSecond(worst, requests)),
    compile_ms_1000: median(() => {
      const start = performance.now();
      compilePolicy(value, { regions: true });
      return performance.now() - start;
    }),
  };
}

function median(measure: () => number): number {
  measure();
  const sorted = Array.from({ length: PASSES }, measure).sort((a, b) => a - b);
  return sorted[PASSES >> 1] as number;
}

function perSecond(policy: CompiledPolicy, requests: readonly PolicyRequest[]): number {
  let allowed = 0;
  const start = performance.now();
  for (let i = 0; i < EVALUATIONS; i++) {
    if (decide(policy, requests[i & (REQUESTS - 1)] as PolicyRequest, NOW_MS).effect === 'allow') allowed++;
  }
  const seconds = (performance.now() - start) / 1_000;
  if (allowed > EVALUATIONS) throw new Error('unreachable: keeps the loop from being optimised away');
  return EVALUATIONS / seconds;
}

function policyOf(rules: RuleValue[]): PolicyValue {
  return { apiVersion: 'sage/v1', kind: 'PolicySet', rules };
}

function compiled(rules: RuleValue[]): CompiledPolicy {
  const result = compilePolicy(policyOf(rules), { regions: true });
  if (!result.ok) throw new Error(JSON.stringify(result.faults.slice(0, 3)));
  return result.policy;
}

/** As operators write them: most name an agent's path and some callers, some a method, header, region or time. */
function mixedRules(): RuleValue[] {
  return Array.from({ length: RULES }, (_, i): RuleValue => {
    const did =
      i % 3 === 0
        ? `did:web:partner${i}.example`
        : i % 3 === 1
          ? `did:web:org${i % 50}.example:*`
          : `did:key:z6Mk${i}`;
    return {
      id: `r${i}`,
      effect: i % 10 === 9 ? 'deny' : 'allow',
      priority: i,
      match: {
        did,
        path: i % 7 === 0 ? `/agents/*/tasks/${i % 20}/**` : `/agents/a${i % 100}/**`,
        ...(i % 2 === 0 ? { method: ['GET', 'POST'] } : {}),
        ...(i % 20 === 5 ? { header: { 'x-tenant': `tenant-${i % 40}-*` } } : {}),
        ...(i % 25 === 6 ? { region: ['DE', 'FR', 'US'] } : {}),
      },
      ...(i % 30 === 7 ? { time: { days: 'mon-fri', hours: '08:00-18:30' } } : {}),
    };
  });
}

/** Every dimension is asked about, each fits the request alone, the DID fits none. */
function catchAllRules(): RuleValue[] {
  return Array.from(
    { length: RULES },
    (_, i): RuleValue => ({
      id: `w${i}`,
      effect: 'allow',
      priority: i,
      match: {
        did: `did:example:nobody${i}:*`,
        path: i % 2 === 0 ? '/**' : '/agents/**',
        method: ['GET', 'POST', 'DELETE'],
        header: { 'x-tenant': '*' },
        region: ['DE', 'FR', 'US', 'KR'],
      },
      time: { days: 'mon-sun', hours: '00:00-24:00' },
    }),
  );
}

function mixedRequests(): PolicyRequest[] {
  const methods = ['GET', 'POST', 'DELETE'];
  const regions = ['DE', 'US', 'KR', null];
  return Array.from({ length: REQUESTS }, (_, n): PolicyRequest => {
    const i = (n * 37) % RULES;
    const did =
      n % 4 === 0
        ? `did:web:partner${i}.example`
        : n % 4 === 1
          ? `did:web:org${i % 50}.example:bot${n}`
          : `did:key:z6Mk${i}`;
    const path =
      n % 5 === 0 ? `/agents/a${i}/tasks/${n % 20}/steps/${n}` : `/agents/a${i % 100}/messages/${n}`;
    const tenant = `tenant-${n % 40}-x`;
    return {
      did,
      method: methods[n % 3] as string,
      path,
      address: '192.0.2.1',
      header: (name) => (name === 'x-tenant' ? tenant : undefined),
      covers: () => true,
      region: () => regions[n % 4] ?? null,
    };
  });
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  console.table(measurePolicy());
}
