/** The value of one covered component (RFC 9421, section 2.5, step 2.6). */
import { type Bytes, encodeBase64, latin1Bytes } from './bytes.ts';
import type { Component } from './components.ts';
import { WireError } from './errors.ts';
import type { FieldLines, MessageView, RequestView } from './message.ts';
import { QueryParameters } from './query.ts';
import { serialiseDictionary, serialiseItem, serialiseList, serialiseMember } from './serialise.ts';
import { parseItem, parseList } from './structured-fields.ts';

/**
 * The fields whose type is known, so that `;sf` has one meaning: those the IANA field name registry lists as
 * structured, and Signature-Agent of Web Bot Auth. For any other field `;sf` is refused, as section 2.1.1 asks.
 */
const STRUCTURED_TYPES: ReadonlyMap<string, 'item' | 'list' | 'dictionary'> = new Map([
  ...(['accept-ch', 'cache-status', 'client-cert-chain', 'proxy-status'] as const).map(
    (n) => [n, 'list'] as const,
  ),
  ...(
    [
      'client-cert',
      'cross-origin-embedder-policy',
      'cross-origin-opener-policy',
      'origin-agent-cluster',
    ] as const
  ).map((n) => [n, 'item'] as const),
  ...(
    [
      'accept-signature',
      'cdn-cache-control',
      'content-digest',
      'priority',
      'repr-digest',
      'signature',
      'signature-agent',
      'signature-input',
      'want-content-digest',
      'want-repr-digest',
    ] as const
  ).map((n) => [n, 'dictionary'] as const),
]);

/**
 * @throws {WireError} component_missing, component_not_applicable, component_not_ascii, component_not_structured,
 * structured_field_invalid, query_invalid, query_parameter_repeated
 */
export function componentValue(component: Component, view: MessageView): string {
  const source = component.req ? requestOf(component, view) : view;
  const value = component.derived ? derived(component, source) : field(component, source);
  // What is not printable could break the lines of the base apart, or read differently at the signer's end.
  if (/[^\t -~]/.test(value)) throw new WireError('component_not_ascii', component.identifier);
  return value;
}

function requestOf(component: Component, view: MessageView): RequestView {
  // A request answers nothing (section 2.4), and a response whose request is unknown cannot be bound to it.
  if (view.kind === 'request' || view.request === null) {
    throw new WireError('component_not_applicable', component.identifier);
  }
  return view.request;
}

function derived(component: Component, view: MessageView): string {
  if (view.kind === 'response') {
    if (component.name !== '@status') throw new WireError('component_not_applicable', component.identifier);
    return String(view.status);
  }
  switch (component.name) {
    case '@method':
      return view.method;
    case '@authority':
      return view.authority;
    case '@path':
      return path(view);
    case '@query':
      return view.queryAt < 0 ? '?' : view.target.slice(view.queryAt);
    case '@target-uri':
      return targetUri(view);
    case '@scheme':
      return view.scheme;
    case '@request-target':
      return view.target;
    case '@query-param':
      return queryParameterOf(component, view);
    default:
      throw new WireError('component_not_applicable', component.identifier);
  }
}

function path(view: RequestView): string {
  const text =
    view.queryAt < 0 ? view.target.slice(view.pathAt) : view.target.slice(view.pathAt, view.queryAt);
  return text === '' ? '/' : text;
}

function targetUri(view: RequestView): string {
  const query = view.queryAt < 0 ? '' : view.target.slice(view.queryAt);
  return `${view.scheme}://${view.authority}${path(view)}${query}`;
}

/** Read once, however many components name one of them. */
const queries = new WeakMap<RequestView, QueryParameters>();

function queryParameterOf(component: Component, view: RequestView): string {
  let query = queries.get(view);
  if (query === undefined) {
    query = new QueryParameters(view.queryAt < 0 ? '' : view.target.slice(view.queryAt + 1));
    queries.set(view, query);
  }
  const value = query.value(component.queryName ?? '');
  if (value === null) throw new WireError('component_missing', component.identifier);
  return value;
}

function field(component: Component, view: MessageView): string {
  const fields = component.tr ? view.trailers : view.fields;
  const value = fields === null ? undefined : fieldValue(component, fields);
  if (value === undefined) throw new WireError('component_missing', component.identifier);
  return value;
}

function fieldValue(component: Component, fields: FieldLines): string | undefined {
  const { name } = component;
  if (component.bs) return byteSequences(component, fields);
  if (component.key !== null) {
    const member = fields.dictionary(name)?.get(component.key);
    return member === undefined ? undefined : serialiseMember(member);
  }
  if (component.sf) return structured(component, fields);
  return fields.value(name);
}

function structured(component: Component, fields: FieldLines): string | undefined {
  const { name } = component;
  const type = STRUCTURED_TYPES.get(name);
  if (type === undefined) throw new WireError('component_not_structured', component.identifier);
  if (type === 'dictionary') {
    const dictionary = fields.dictionary(name);
    return dictionary === undefined ? undefined : serialiseDictionary(dictionary);
  }
  const value = fields.value(name);
  if (value === undefined) return undefined;
  return type === 'list' ? serialiseList(parseList(value)) : serialiseItem(parseItem(value));
}

/** Each line on its own, so that no joining can make two messages alike (section 2.1.3). */
function byteSequences(component: Component, fields: FieldLines): string | undefined {
  const lines = fields.lines(component.name);
  if (lines.length === 0) return undefined;
  return lines.map((line) => `:${encodeBase64(bytesOf(line, component))}:`).join(', ');
}

/** Node gives a field's bytes as the characters of the same numbers; a greater one was never on the wire. */
function bytesOf(line: string, component: Component): Bytes {
  for (let at = 0; at < line.length; at += 1) {
    if (line.charCodeAt(at) > 0xff) throw new WireError('component_not_ascii', component.identifier);
  }
  return latin1Bytes(line);
}
