/** The shape of a policy file. What each key means is told in this room's README. */
import { type Static, type TSchema, Type } from 'typebox';
import {
  daysFault,
  didPatternFault,
  headerGlobFault,
  hoursFault,
  instantFault,
  methodFault,
  pathPatternFault,
  rateFault,
  timezoneFault,
} from './syntax.ts';

/** Reasons reach logs, and callers where the operator lets them; a sentence is enough. */
const REASON_LENGTH_MAX = 256;
/** Keeps a decision's cost below ten microseconds, and the index below 30 MB. */
const RULES_MAX = 10_000;
/** Each is evaluated at every load, in the worker that parses. */
const TESTS_MAX = 10_000;
const PRIORITY_MAX = 1_000_000;

/** A string in a notation of its own; `$name` stands for a set and is resolved later. */
function Notation(fault: (text: string) => string | null) {
  const faultOf = (value: unknown) =>
    typeof value !== 'string' || value.startsWith('$') ? null : fault(value);
  return Type.Refine(
    Type.String({ minLength: 1 }),
    (value) => faultOf(value) === null,
    (value) => faultOf(value) ?? '',
  );
}

/** One, or a list of at least one: an empty list would be a rule that never matches. */
function OneOrMore<T extends TSchema>(item: T) {
  return Type.Union([item, Type.Array(item, { minItems: 1 })]);
}

const strict = { additionalProperties: false } as const;
const notYet = (...keys: string[]) => ({ additionalProperties: false, 'x-not-yet': keys });

const Id = Type.String({
  pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$',
  title: 'a name of at most 64 letters, digits, `.`, `_` and `-`',
});
const Mode = Type.Union([Type.Literal('enforce'), Type.Literal('shadow')]);
const Effect = Type.Union([Type.Literal('allow'), Type.Literal('deny')]);
const Reason = Type.String({
  minLength: 1,
  maxLength: REASON_LENGTH_MAX,
  title: `a sentence of 1 to ${REASON_LENGTH_MAX} characters`,
});
const Timezone = Notation(timezoneFault);
const Instant = Notation(instantFault);

const Match = Type.Object(
  {
    did: Type.Optional(OneOrMore(Notation(didPatternFault))),
    method: Type.Optional(OneOrMore(Notation(methodFault))),
    path: Type.Optional(OneOrMore(Notation(pathPatternFault))),
    region: Type.Optional(OneOrMore(Type.String({ minLength: 1 }))),
    header: Type.Optional(
      Type.Record(Type.String(), OneOrMore(Notation(headerGlobFault)), { minProperties: 1 }),
    ),
  },
  notYet('agent', 'address', 'not'),
);

const Time = Type.Object(
  {
    days: Type.Optional(OneOrMore(Notation(daysFault))),
    hours: Type.Optional(OneOrMore(Notation(hoursFault))),
    timezone: Type.Optional(Timezone),
  },
  { ...strict, minProperties: 1 },
);

const FileRule = Type.Object(
  {
    id: Id,
    effect: Effect,
    mode: Type.Optional(Mode),
    priority: Type.Optional(Type.Integer({ minimum: -PRIORITY_MAX, maximum: PRIORITY_MAX })),
    emergency: Type.Optional(Type.Object({ until: Instant }, strict)),
    match: Type.Optional(Match),
    time: Type.Optional(Time),
    reason: Type.Optional(Reason),
  },
  notYet('expr', 'obligations', 'warn'),
);

const FileLimit = Type.Object(
  {
    id: Id,
    key: Type.Union([Type.Literal('ip'), Type.Literal('did')]),
    when: Type.Optional(Type.Literal('pre_auth')),
    rate: Notation(rateFault),
    burst: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000_000 })),
  },
  notYet('scope', 'tolerance', 'cost', 'match', 'max'),
);

const FileTest = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 200, title: 'a name of 1 to 200 characters' }),
    request: Type.Object(
      {
        did: Type.Optional(Type.String()),
        method: Type.String({ minLength: 1 }),
        path: Type.String({ pattern: '^/', title: 'a path that begins with `/`' }),
        region: Type.Optional(Type.String({ pattern: '^[A-Z]{2}$', title: 'a country code such as `DE`' })),
        headers: Type.Optional(Type.Record(Type.String(), Type.String())),
        now: Type.Optional(Instant),
      },
      strict,
    ),
    expect: Type.Object({ allow: Type.Boolean(), rule: Type.Optional(Type.String()) }, strict),
  },
  strict,
);

/** A policy, as a file of its own or inline in `sage.yaml`. */
export const PolicySet = Type.Object(
  {
    apiVersion: Type.Literal('sage/v1'),
    kind: Type.Literal('PolicySet'),
    metadata: Type.Optional(Type.Object({ name: Type.String({ minLength: 1, maxLength: 200 }) }, strict)),
    defaults: Type.Optional(
      Type.Object(
        {
          effect: Type.Optional(Effect),
          mode: Type.Optional(Mode),
          // Written down for the reader; there is no other choice, because a gateway that fails open is a hole.
          on_error: Type.Optional(Type.Literal('deny')),
          timezone: Type.Optional(Timezone),
        },
        strict,
      ),
    ),
    max_requests_per_minute: Type.Optional(Type.Integer({ minimum: 1, maximum: 999_999_999 })),
    allowed_regions: Type.Optional(Type.Array(Type.String({ minLength: 1 }), { minItems: 1 })),
    unknown_region: Type.Optional(Effect),
    auto_block_on_signature_failure: Type.Optional(Type.Boolean()),
    sets: Type.Optional(
      Type.Record(
        Type.String(),
        Type.Union([
          Type.Array(Type.String({ minLength: 1 }), { minItems: 1 }),
          Type.Object({ preset: Type.String() }, strict),
        ]),
      ),
    ),
    limits: Type.Optional(Type.Array(FileLimit)),
    rules: Type.Optional(Type.Array(FileRule, { maxItems: RULES_MAX })),
    tests: Type.Optional(Type.Array(FileTest, { maxItems: TESTS_MAX })),
  },
  notYet('threats', 'obligations', 'expr'),
);

export type PolicyValue = Static<typeof PolicySet>;
export type RuleValue = Static<typeof FileRule>;
export type TestValue = Static<typeof FileTest>;
