/**
 * Every way in which a message can fail before a key is asked. The class decides the status a gateway answers
 * with: `malformed` is 400 (nobody could read this), `unproven` is 401 (readable, and proves nothing).
 */

export type WireErrorClass = 'malformed' | 'unproven';

const CATALOGUE = {
  structured_field_invalid: ['malformed', 'a structured field does not parse (RFC 9651)'],
  structured_field_unserialisable: ['malformed', 'a value has no structured-field form (RFC 9651)'],

  too_many_fields: ['malformed', 'the message has more field lines than are looked at'],
  signature_fields_too_large: ['malformed', 'Signature-Input or Signature is longer than its bound'],
  too_many_signatures: ['malformed', 'more signatures than are looked at'],
  too_many_components: ['malformed', 'more covered components than are looked at'],
  too_many_parameters: ['malformed', 'a signature has more parameters than are looked at'],
  signature_incomplete: ['malformed', 'Signature-Input and Signature do not belong together'],
  signature_malformed: ['malformed', 'a signature cannot be read'],
  signature_label_repeated: ['malformed', 'the label of a signature occurs twice'],
  parameter_repeated: ['malformed', 'a signature parameter occurs twice'],
  parameter_invalid: ['malformed', 'a signature parameter has the wrong type or length'],
  component_invalid: ['malformed', 'a covered component is not a valid identifier'],
  component_unknown: ['malformed', 'a derived component is not known'],
  component_repeated: ['malformed', 'a component is covered twice'],
  component_parameter_unknown: ['malformed', 'a component parameter is not known'],
  component_parameter_invalid: ['malformed', 'a component parameter does not fit its component'],
  component_not_applicable: ['malformed', 'a component does not apply to this kind of message'],
  component_not_structured: ['malformed', 'a field is not known to be a structured field'],
  component_not_ascii: ['malformed', 'a component value is not printable ASCII'],
  query_invalid: ['malformed', 'the query cannot be decoded without ambiguity'],
  query_parameter_repeated: ['malformed', 'a covered query parameter occurs more than once'],

  method_invalid: ['malformed', 'the method is not an upper-case token'],
  target_invalid: ['malformed', 'the request target has a fragment or characters no URI has'],
  host_missing: ['malformed', 'the request names no host'],
  host_repeated: ['malformed', 'the request names its host twice'],
  host_mismatch: ['malformed', 'the request names two different hosts'],
  field_repeated: ['malformed', 'a field that may occur once occurs twice'],

  digest_malformed: ['malformed', 'Content-Digest does not parse (RFC 9530)'],
  digest_unsupported: ['unproven', 'Content-Digest has neither sha-256 nor sha-512'],
  digest_mismatch: ['unproven', 'the content is not what Content-Digest says'],

  signature_not_found: ['unproven', 'no signature carries the tag this profile asks for'],
  component_missing: ['unproven', 'a covered component is not in the message'],
  coverage_insufficient: ['unproven', 'the signature does not cover a component it must cover'],
  parameter_missing: ['unproven', 'the signature lacks a parameter it must have'],
  created_in_future: ['unproven', 'the signature was created in the future'],
  signature_too_old: ['unproven', 'the signature was created too long ago'],
  signature_expired: ['unproven', 'the signature has expired'],
  lifetime_invalid: ['unproven', 'the signature lives longer than its profile lets it, or not at all'],
  field_disagrees: ['unproven', 'a field does not say what the signature and its profile say'],
  algorithm_unsupported: ['unproven', 'the signature names an algorithm that is not supported'],
  algorithm_mismatch: ['unproven', "the signature names another algorithm than its key's"],
} as const satisfies Record<string, readonly [WireErrorClass, string]>;

export type WireErrorCode = keyof typeof CATALOGUE;

/** The catalogue as data, for the page that documents the codes. */
export const WIRE_ERRORS: Readonly<Record<WireErrorCode, readonly [WireErrorClass, string]>> = CATALOGUE;

/** Thrown by everything in `trust/wire`. Carries no stack: a stranger can cause it as often as he likes. */
export class WireError extends Error {
  readonly code: WireErrorCode;
  readonly class: WireErrorClass;
  /** The component identifier, field, parameter or label it is about, where there is one. */
  readonly component: string | undefined;

  /** `about` comes from the message, so it is cut before it can fill a log. */
  constructor(code: WireErrorCode, about?: string) {
    const [kind, text] = CATALOGUE[code];
    const shown = about === undefined ? undefined : cut(about);
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(shown === undefined ? text : `${text}: ${shown}`);
    Error.stackTraceLimit = limit;
    this.name = 'WireError';
    this.code = code;
    this.class = kind;
    this.component = shown;
  }
}

/** Long enough for any real identifier, short enough for a log line. */
const ABOUT_LENGTH_MAX = 128;

function cut(about: string): string {
  return about.length <= ABOUT_LENGTH_MAX ? about : `${about.slice(0, ABOUT_LENGTH_MAX)}…`;
}
