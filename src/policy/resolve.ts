/** From the value of a policy file to its rules, limits and threat blocks, with every fault found on the way. Pure. */
import type { PolicyValue, RuleValue } from './language.ts';
import type { Path } from './located-yaml.ts';
import { type Glob, type HeaderMatch, matchKey, type Rule } from './rule.ts';
import type { Complaint } from './schema-faults.ts';
import { openSets, type Sets } from './sets.ts';
import {
  didPatternFault,
  headerGlobFault,
  headerNameFault,
  methodFault,
  parseInstant,
  parsePath,
  parseRate,
  pathPatternFault,
  weekSpans,
} from './syntax.ts';

/** Distinct header names in one file: each costs every decision one look-up. */
const HEADER_NAMES_MAX = 32;
/** Different values with `*` for one header name: they are tried one after the other. */
const HEADER_GLOBS_MAX = 64;
/** What `auto_block_on_signature_failure: true` stands for: five bad signatures in a minute, ten minutes of silence. */
const SIGNATURE_BLOCK = { threshold: 5, windowMs: 60_000, blockMs: 600_000 } as const;
/** The rule that `allowed_regions` becomes. */
const ALLOWED_REGIONS = 'allowed_regions';
/** Names that records use for something else. */
const RESERVED_IDS: readonly string[] = ['default', ALLOWED_REGIONS];

interface RateLimit {
  /** Requests a period. */
  readonly rate: number;
  readonly periodMs: number;
  /** Requests that may come at once; the limiter's choice when left out. */
  readonly burst?: number;
}

export interface PolicyLimits {
  readonly perAddress?: RateLimit;
  readonly perDid?: RateLimit;
}

/** Blocks hit the source address, never the claimed DID: whoever could block a DID by signing badly in its name would own it. */
export interface PolicyThreats {
  readonly blockOnSignatureFailure?: {
    readonly threshold: number;
    readonly windowMs: number;
    readonly blockMs: number;
  };
}

export interface Resolved {
  readonly rules: readonly Rule[];
  readonly limits: PolicyLimits;
  readonly threats: PolicyThreats;
}

interface Context {
  readonly sets: Sets;
  readonly value: PolicyValue;
  readonly complaints: Complaint[];
  /** Header names matched so far, and the values with `*` of each. */
  readonly headerGlobs: Map<string, Set<string>>;
}

/** Complaints are pushed; the result is whole only when there are none. */
export function resolvePolicy(value: PolicyValue, complaints: Complaint[]): Resolved {
  const context = {
    sets: openSets(value.sets ?? {}, complaints),
    value,
    complaints,
    headerGlobs: new Map<string, Set<string>>(),
  };
  const rules = (value.rules ?? []).map((rule, index) => resolveRule(context, rule, ['rules', index]));
  lintIds(value.rules ?? [], complaints);
  lintConflicts(rules, complaints);
  const regions = allowedRegions(context);
  return {
    rules: regions === null ? rules : [regions, ...rules],
    limits: resolveLimits(value, complaints),
    threats:
      value.auto_block_on_signature_failure === true ? { blockOnSignatureFailure: SIGNATURE_BLOCK } : {},
  };
}

function resolveRule(context: Context, rule: RuleValue, at: Path): Rule {
  const { sets, value } = context;
  const match = rule.match ?? {};
  const into = (key: string) => [...at, 'match', key];
  const emergency = rule.emergency !== undefined;
  if (emergency && rule.effect === 'allow') {
    context.complaints.push({
      path: [...at, 'emergency'],
      part: 'key',
      message: 'an emergency rule can only deny',
    });
  }
  if (emergency && rule.mode === 'shadow') {
    context.complaints.push({
      path: [...at, 'mode'],
      message: 'an emergency rule always acts; it has no shadow mode',
    });
  }
  return {
    id: rule.id,
    effect: rule.effect,
    emergency,
    untilMs: rule.emergency === undefined ? Number.POSITIVE_INFINITY : parseInstant(rule.emergency.until),
    priority: rule.priority ?? 0,
    shadow: !emergency && (rule.mode ?? value.defaults?.mode) === 'shadow',
    reason: rule.reason ?? `${rule.effect === 'allow' ? 'allowed' : 'denied'} by rule ${rule.id}`,
    dids: match.did === undefined ? null : sets.expand(match.did, into('did'), didPatternFault),
    methods: match.method === undefined ? null : sets.expand(match.method, into('method'), methodFault),
    paths:
      match.path === undefined
        ? null
        : sets.expand(match.path, into('path'), pathPatternFault).map(parsePath),
    region:
      match.region === undefined
        ? null
        : {
            codes: sets.regions(match.region, into('region')),
            negated: false,
            // An address nobody can place may be in the denied region: closed unless the file says otherwise.
            unknown: rule.effect === 'deny' && value.unknown_region !== 'allow',
          },
    headers: match.header === undefined ? null : resolveHeaders(context, match.header, into('header')),
    window:
      rule.time === undefined
        ? null
        : {
            timezone: rule.time.timezone ?? value.defaults?.timezone ?? 'UTC',
            spans: weekSpans(asList(rule.time.days), asList(rule.time.hours)),
          },
  };
}

function resolveHeaders(
  context: Context,
  headers: Readonly<Record<string, string | readonly string[]>>,
  at: Path,
): HeaderMatch[] {
  return Object.entries(headers).map(([name, globs]) => {
    const fault = headerNameFault(name);
    if (fault !== null) context.complaints.push({ path: [...at, name], part: 'key', message: fault });
    const values = context.sets.expand(globs, [...at, name], headerGlobFault);
    noteHeader(context, name, values, [...at, name]);
    return { name, globs: values.map(parseGlob) };
  });
}

/** Complains once, where a bound is crossed. */
function noteHeader(context: Context, name: string, values: readonly string[], path: Path): void {
  const complain = (message: string) => context.complaints.push({ path, part: 'key', message });
  let globs = context.headerGlobs.get(name);
  if (globs === undefined) {
    globs = new Set();
    context.headerGlobs.set(name, globs);
    if (context.headerGlobs.size === HEADER_NAMES_MAX + 1) {
      complain(`more than ${HEADER_NAMES_MAX} different headers are matched`);
    }
  }
  const before = globs.size;
  for (const value of values) if (value.includes('*')) globs.add(value);
  if (before <= HEADER_GLOBS_MAX && globs.size > HEADER_GLOBS_MAX) {
    complain(`more than ${HEADER_GLOBS_MAX} different values with \`*\` are matched against \`${name}\``);
  }
}

function parseGlob(text: string): Glob {
  return { text, parts: text.split('*') };
}

function asList(value: string | readonly string[] | undefined): readonly string[] | null {
  if (value === undefined) return null;
  return typeof value === 'string' ? [value] : value;
}

function allowedRegions(context: Context): Rule | null {
  const { value, sets } = context;
  if (value.allowed_regions === undefined) return null;
  return {
    id: ALLOWED_REGIONS,
    effect: 'deny',
    emergency: false,
    untilMs: Number.POSITIVE_INFINITY,
    priority: 0,
    shadow: value.defaults?.mode === 'shadow',
    reason: `only callers in ${value.allowed_regions.slice(0, 10).join(', ')}${value.allowed_regions.length > 10 ? ', …' : ''} are allowed`,
    dids: null,
    methods: null,
    paths: null,
    region: {
      codes: sets.regions(value.allowed_regions, ['allowed_regions']),
      negated: true,
      unknown: value.unknown_region !== 'allow',
    },
    headers: null,
    window: null,
  };
}

function resolveLimits(value: PolicyValue, complaints: Complaint[]): PolicyLimits {
  const limits: { perAddress?: RateLimit; perDid?: RateLimit } = {};
  if (value.max_requests_per_minute !== undefined) {
    limits.perDid = { rate: value.max_requests_per_minute, periodMs: 60_000 };
  }
  for (const [index, limit] of (value.limits ?? []).entries()) {
    const at = ['limits', index];
    const key = limit.key === 'ip' ? 'perAddress' : 'perDid';
    if (limits[key] !== undefined) {
      const other =
        key === 'perDid' && value.max_requests_per_minute !== undefined
          ? '; `max_requests_per_minute` is one'
          : '';
      complaints.push({ path: at, message: `there can be one limit with key \`${limit.key}\`${other}` });
    }
    if (limit.key === 'did' && limit.when === 'pre_auth') {
      complaints.push({ path: [...at, 'when'], message: 'a DID is only known after authentication' });
    }
    limits[key] = { ...parseRate(limit.rate), ...(limit.burst === undefined ? {} : { burst: limit.burst }) };
  }
  return limits;
}

function lintIds(rules: readonly RuleValue[], complaints: Complaint[]): void {
  const seen = new Map<string, number>();
  for (const [index, { id }] of rules.entries()) {
    const first = seen.get(id);
    const path = ['rules', index, 'id'];
    if (RESERVED_IDS.includes(id)) complaints.push({ path, message: `the id \`${id}\` is reserved` });
    if (first !== undefined)
      complaints.push({ path, message: `the id \`${id}\` is already that of rules[${first}]` });
    else seen.set(id, index);
  }
}

/**
 * Two rules of equal mode and priority that match the same requests: which of them was meant? If they agree one is superfluous;
 * if they do not, the allow can never act.
 */
function lintConflicts(rules: readonly Rule[], complaints: Complaint[]): void {
  const seen = new Map<string, number>();
  for (const [index, rule] of rules.entries()) {
    const key = `${rule.shadow} ${rule.emergency} ${rule.priority} ${matchKey(rule)}`;
    const first = seen.get(key);
    if (first === undefined) {
      seen.set(key, index);
      continue;
    }
    const other = rules[first] as Rule;
    const why =
      other.effect === rule.effect ? 'one of them is superfluous' : 'a deny wins, so the allow can never act';
    complaints.push({
      path: ['rules', index],
      message: `\`${rule.id}\` and \`${other.id}\` match the same requests with the same priority: ${why}`,
      also: ['rules', first],
    });
  }
}
