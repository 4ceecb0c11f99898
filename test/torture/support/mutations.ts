/**
 * Changes to the head of a signed request, as data: what was found can be kept in `test/corpus` and done again to a
 * request that is signed anew, since a signature itself grows old.
 */
import fc from 'fast-check';

/** A request in parts, as its bytes will be: texts are latin1, so that every byte can be said. */
export interface Message {
  readonly line: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
}

export const KINDS = [
  'replace',
  'swap',
  'truncate',
  'repeat-member',
  'repeat-line',
  'rename-label',
  'set-parameter',
  'add-parameter',
  'add-component',
  'drop-component',
  'order-components',
  'fold',
  'case',
  'move-line',
  'rename-field',
  'unsplit',
] as const;
const PLACES = ['signature-input', 'signature', 'content-digest', 'host', 'x-tenant', 'line'] as const;
const PARAMETERS = ['created', 'expires', 'nonce', 'keyid', 'alg', 'tag'] as const;

export interface Edit {
  readonly kind: (typeof KINDS)[number];
  readonly place: (typeof PLACES)[number];
  /** Where, taken modulo what there is. */
  readonly at: number;
  readonly length: number;
  /** Latin1. */
  readonly text: string;
}

const asBytes = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

/** What parsers stumble over, and what a serialiser might write another way. */
const PIECES = [
  '',
  ' ',
  '  ',
  '\t',
  ',',
  ', ',
  ';',
  '=',
  '"',
  '\\',
  '\\"',
  '\\\\',
  '(',
  ')',
  '()',
  ':',
  '::',
  '?1',
  '?0',
  '@',
  '*',
  '%',
  '%2e',
  '%00',
  '\0',
  '\r',
  '\n',
  '\r\n',
  '\r\n\r\n',
  '\r\n ',
  '\x7f',
  '\x1b',
  '\xe9',
  '\xff',
  '-',
  '+',
  '/',
  '//',
  '..',
  '_',
  'a',
  'A',
  '0',
  '00',
  '1',
  '-1',
  '0.0',
  '1e3',
  '9999999999999999',
  '"x"',
  '"x";sf',
  '"x";bs',
  '"x";req',
  '"x";tr',
  '"x";key="a"',
  '"@method"',
  '"@path"',
  '"@query"',
  '"@status"',
  '"@signature-params"',
  '"@query-param";name="q"',
  '"signature"',
  ':AA==:',
  ':!:',
  'sig1=()',
  'sig2=:AA==:',
  'ed25519',
  'hmac-sha256',
  'rsa-v1_5-sha256',
  'did:key:z6Mk',
  'did:web:example',
  '#',
  '?',
  ...['é', '\u2028', '\uff41', '\u200b', '\u202e', 'ﬁ', '😀', '\ufeff', 'К'].map(asBytes),
];
const texts = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...PIECES) },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme-ascii', maxLength: 6 }) },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme', maxLength: 3 }).map(asBytes) },
);

const edits: fc.Arbitrary<Edit> = fc.record({
  kind: fc.oneof(
    { weight: 6, arbitrary: fc.constant('replace' as const) },
    { weight: 10, arbitrary: fc.constantFrom(...KINDS) },
  ),
  place: fc.oneof(
    { weight: 5, arbitrary: fc.constant('signature-input' as const) },
    { weight: 5, arbitrary: fc.constantFrom(...PLACES) },
  ),
  at: fc.nat(999),
  length: fc.nat(4),
  text: texts,
});

export const mutations: fc.Arbitrary<readonly Edit[]> = fc.array(edits, { minLength: 1, maxLength: 3 });

function splice(value: string, { at, length, text }: Edit): string {
  const from = at % (value.length + 1);
  return value.slice(0, from) + text + value.slice(from + length);
}

function swapSlices(value: string, { at, length }: Edit): string {
  const size = length + 1;
  if (value.length < 2 * size) return value;
  const first = at % (value.length - 2 * size + 1);
  const second = first + size + ((at >> 3) % (value.length - first - 2 * size + 1));
  const [a, b] = [value.slice(first, first + size), value.slice(second, second + size)];
  return value.slice(0, first) + b + value.slice(first + size, second) + a + value.slice(second + size);
}

function toggleCase(value: string, { at, length }: Edit): string {
  const from = at % (value.length + 1);
  const slice = value.slice(from, from + length + 1);
  const other = slice === slice.toLowerCase() ? slice.toUpperCase() : slice.toLowerCase();
  return value.slice(0, from) + other + value.slice(from + length + 1);
}

function editComponents(value: string, { kind, at, text }: Edit): string {
  return value.replace(/\(([^()]*)\)/, (_all, inner: string) => {
    const components = inner.split(' ');
    const one = at % Math.max(1, components.length);
    if (kind === 'add-component') components.splice(one, 0, text);
    else if (kind === 'drop-component') components.splice(one, 1);
    else components.push(...components.splice(one, 1));
    return `(${components.join(' ')})`;
  });
}

function editValue(value: string, edit: Edit): string {
  const { kind, at, text } = edit;
  const parameter = PARAMETERS[at % PARAMETERS.length];
  switch (kind) {
    case 'swap':
      return swapSlices(value, edit);
    case 'truncate':
      return value.slice(0, at % (value.length + 1));
    case 'repeat-member':
      return `${value}, ${text === '' ? value : text}`;
    case 'rename-label':
      return value.replace(/^[^=]*/, text);
    case 'set-parameter':
      return value.replace(new RegExp(`;${parameter}=("[^"]*"|[^;]*)`), `;${parameter}=${text}`);
    case 'add-parameter':
      return `${value};${parameter}=${text}`;
    case 'add-component':
    case 'drop-component':
    case 'order-components':
      return editComponents(value, edit);
    case 'fold':
      return splice(value, { ...edit, length: 0, text: '\r\n ' });
    case 'case':
      return toggleCase(value, edit);
    default:
      return splice(value, edit);
  }
}

function editField(fields: [string, string][], index: number, edit: Edit): void {
  const field = fields[index];
  if (field === undefined) return;
  const [name, value] = field;
  if (edit.kind === 'repeat-line') fields.splice(edit.at % (fields.length + 1), 0, [name, value]);
  else if (edit.kind === 'move-line') fields.splice(edit.at % fields.length, 0, ...fields.splice(index, 1));
  else if (edit.kind === 'rename-field') field[0] = splice(name, edit);
  else if (edit.kind === 'unsplit') {
    // One value over two lines, which are joined again by a comma and a space.
    const comma = value.indexOf(', ');
    if (comma < 0) return;
    field[1] = value.slice(0, comma);
    fields.splice(index + 1, 0, [name, value.slice(comma + 2)]);
  } else field[1] = editValue(value, edit);
}

export function mutate(message: Message, changes: readonly Edit[]): Message {
  let { line } = message;
  const fields = message.fields.map(([name, value]): [string, string] => [name, value]);
  for (const edit of changes) {
    if (edit.place === 'line') line = editValue(line, edit);
    else
      editField(
        fields,
        fields.findIndex(([name]) => name.toLowerCase() === edit.place),
        edit,
      );
  }
  return { line, fields, body: message.body };
}

export function toBytes({ line, fields, body }: Message): Buffer {
  const head = [line, ...fields.map(([name, value]) => `${name}: ${value}`)].join('\r\n');
  return Buffer.concat([Buffer.from(`${head}\r\n\r\n`, 'latin1'), body]);
}

/** Reads bytes as RFC 9112 has them, or null: whoever accepts what this cannot read has accepted too much. */
export function readBytes(bytes: Buffer): { method: string; target: string; rawHeaders: string[] } | null {
  // Empty lines in front are ignored (RFC 9112 2.2).
  const text = bytes.toString('latin1').replace(/^[\r\n]+/, '');
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const [line = '', ...lines] = text.slice(0, end).split('\r\n');
  // Several spaces may part the words (RFC 9112 3, "word boundaries"), and the path writes one.
  const request = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) +([\x21-\x7e]+) +HTTP\/1\.[01]$/.exec(line);
  if (request === null) return null;
  const rawHeaders: string[] = [];
  for (const one of lines) {
    const field =
      /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)[ \t]*$/.exec(
        one,
      );
    if (field === null) return null;
    rawHeaders.push(field[1] as string, field[2] as string);
  }
  return { method: request[1] as string, target: request[2] as string, rawHeaders };
}
