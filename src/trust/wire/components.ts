/**
 * Covered components (RFC 9421, section 2): from the text of an inner list to what is needed to read their
 * values. Compiled once for each distinct text, because a client signs with the same list every time.
 */
import { detached } from './bytes.ts';
import { WireError } from './errors.ts';
import { Scanner } from './scanner.ts';
import { serialiseBareItem, serialiseItem } from './serialise.ts';
import type { BareItem, Item, Parameters } from './structured-fields.ts';

/** More would be work without a purpose: a request has few things worth covering. */
export const COMPONENTS_MAX = 32;

/** Derived components (section 2.2) that say something of a request. */
const REQUEST_COMPONENTS = new Set([
  '@method',
  '@target-uri',
  '@authority',
  '@scheme',
  '@request-target',
  '@path',
  '@query',
  '@query-param',
]);

export interface Component {
  /** Lower-case field name, or derived name with its `@`. */
  readonly name: string;
  /** As it stands in the base: the parameters in the order received. */
  readonly identifier: string;
  /** Names the same component whatever the order of its parameters. */
  readonly canonical: string;
  readonly derived: boolean;
  /** Read from the request that a response answers (section 2.4). */
  readonly req: boolean;
  /** Read from the trailers (section 2.1.4). */
  readonly tr: boolean;
  /** Re-serialised as a structured field (2.1.1). */
  readonly sf: boolean;
  /** Each line wrapped as a Byte Sequence (2.1.3). */
  readonly bs: boolean;
  /** The member of a Dictionary (2.1.2), or null. */
  readonly key: string | null;
  /** The name of a query parameter, percent-encoded (2.2.8), or null. */
  readonly queryName: string | null;
}

export interface ComponentList {
  readonly components: readonly Component[];
  /** The inner list in canonical form, parentheses included. */
  readonly text: string;
  /** `canonical` of each component. */
  readonly covered: ReadonlySet<string>;
}

/**
 * A stranger chooses the texts, so what is kept is bounded: two generations of this many lists, none longer than
 * `CACHED_TEXT_MAX`. A flood of new texts costs recompiling (about 5 us a list), no memory.
 */
const CACHED_LISTS_MAX = 256;
const CACHED_TEXT_MAX = 512;

let recent = new Map<string, ComponentList>();
let older = new Map<string, ComponentList>();

/**
 * The component list written `text`, parentheses included.
 * @throws {WireError} structured_field_invalid and every component_* code but component_missing
 */
export function componentList(text: string): ComponentList {
  const known = recent.get(text);
  if (known !== undefined) return known;
  const kept = older.get(text);
  const list = kept ?? compile(text);
  if (text.length <= CACHED_TEXT_MAX) keep(text, list);
  return list;
}

function keep(text: string, list: ComponentList): void {
  if (recent.size >= CACHED_LISTS_MAX) {
    older = recent;
    recent = new Map();
  }
  // A slice would keep the whole header value it was cut from alive.
  recent.set(detached(text), list);
}

/** Reads and checks one component after the other, so that the first bad one ends the work. */
function compile(text: string): ComponentList {
  const scanner = new Scanner(text);
  const components: Component[] = [];
  const covered = new Set<string>();
  scanner.openList();
  while (scanner.nextItem(components.length === 0)) {
    if (components.length === COMPONENTS_MAX) throw new WireError('too_many_components');
    const one = component(scanner);
    if (covered.has(one.canonical)) throw new WireError('component_repeated', one.canonical);
    covered.add(one.canonical);
    components.push(one);
  }
  scanner.expectEnd();
  return { components, covered, text: `(${components.map((one) => one.identifier).join(' ')})` };
}

function component(scanner: Scanner): Component {
  const name = scanner.bareItem();
  if (typeof name !== 'string') throw new WireError('component_invalid');
  const derived = name.startsWith('@');
  checkName(name, derived);
  const params = componentParameters(scanner, name);
  const item = { value: name, params };
  const one = {
    name,
    identifier: serialiseItem(item),
    canonical: canonicalIdentifier(item),
    derived,
    req: params.has('req'),
    tr: params.has('tr'),
    sf: params.has('sf'),
    bs: params.has('bs'),
    key: stringOrNull(params.get('key')),
    queryName: stringOrNull(params.get('name')),
  };
  checkParameters(one);
  return one;
}

/** Section 2.5: an unknown parameter is an error, since nobody knows what value it asks for. */
function componentParameters(scanner: Scanner, name: string): Parameters {
  const params = new Map<string, BareItem>();
  for (let key = scanner.parameterKey(); key !== null; key = scanner.parameterKey()) {
    const value = scanner.parameterValue();
    const isFlag = key === 'req' || key === 'tr' || key === 'sf' || key === 'bs';
    if (!isFlag && key !== 'key' && key !== 'name')
      throw new WireError('component_parameter_unknown', `${name};${key}`);
    const valid = isFlag ? value === true : typeof value === 'string';
    if (!valid || params.has(key)) throw new WireError('component_parameter_invalid', `${name};${key}`);
    params.set(key, value);
  }
  return params;
}

function stringOrNull(value: BareItem | undefined): string | null {
  return typeof value === 'string' ? value : null;
}

function checkName(name: string, derived: boolean): void {
  if (derived) {
    // `@signature-params` is always the last line and never a component (section 2.3).
    if (!REQUEST_COMPONENTS.has(name) && name !== '@status') throw new WireError('component_unknown', name);
  } else if (!/^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name)) {
    // Field names are lower-cased by the signer (section 2.1), so an upper-case one is an error, not a spelling.
    throw new WireError('component_invalid', name);
  }
}

function checkParameters(one: Component): void {
  const strictField = one.sf || one.key !== null;
  const fieldOnly = strictField || one.bs || one.tr;
  const invalid =
    (one.derived && fieldOnly) ||
    // `;bs` wraps the bytes as they are; with `;sf` or `;key` there would be two answers (section 2.5).
    (one.bs && strictField) ||
    (one.queryName !== null) !== (one.name === '@query-param') ||
    (one.req && one.name === '@status');
  if (invalid) throw new WireError('component_parameter_invalid', one.identifier);
}

function canonicalIdentifier(item: Item): string {
  if (item.params.size < 2) return serialiseItem(item);
  const sorted = [...item.params].sort(([a], [b]) => (a < b ? -1 : 1));
  return serialiseItem({ value: item.value, params: new Map(sorted) });
}

/** The identifier of a component without parameters. @throws {WireError} structured_field_unserialisable */
export function plainIdentifier(name: string): string {
  return serialiseBareItem(name);
}
