/** Serialising Structured Field Values (RFC 9651, section 4.1): always the one canonical form. */
import { encodeBase64 } from './bytes.ts';
import { WireError } from './errors.ts';
import type { BareItem, Dictionary, InnerList, Item, List, Member, Parameters } from './structured-fields.ts';
import { isInnerList } from './structured-fields.ts';

const INTEGER_MAX = 999_999_999_999_999;
const DECIMAL_INTEGER_MAX = 999_999_999_999;

/** A List; of no members it is the empty string, and the field is left out. @throws {WireError} structured_field_unserialisable */
export function serialiseList(list: List): string {
  return list.map(serialiseMember).join(', ');
}

/** A Dictionary; of no members it is the empty string. @throws {WireError} structured_field_unserialisable */
export function serialiseDictionary(dictionary: Dictionary): string {
  const members: string[] = [];
  for (const [key, member] of dictionary) {
    const name = serialiseKey(key);
    const isTrue = !isInnerList(member) && member.value === true;
    members.push(isTrue ? name + serialiseParameters(member.params) : `${name}=${serialiseMember(member)}`);
  }
  return members.join(', ');
}

/** An Item or an Inner List. @throws {WireError} structured_field_unserialisable */
export function serialiseMember(member: Member): string {
  return isInnerList(member) ? serialiseInnerList(member) : serialiseItem(member);
}

/** @throws {WireError} structured_field_unserialisable */
export function serialiseItem(item: Item): string {
  return serialiseBareItem(item.value) + serialiseParameters(item.params);
}

function serialiseInnerList(list: InnerList): string {
  return `(${list.items.map(serialiseItem).join(' ')})${serialiseParameters(list.params)}`;
}

/** @throws {WireError} structured_field_unserialisable */
export function serialiseParameters(params: Parameters): string {
  let text = '';
  for (const [key, value] of params) {
    text += `;${serialiseKey(key)}`;
    if (value !== true) text += `=${serialiseBareItem(value)}`;
  }
  return text;
}

/** @throws {WireError} structured_field_unserialisable */
export function serialiseKey(key: string): string {
  if (!/^[a-z*][a-z0-9_\-.*]*$/.test(key)) unserialisable();
  return key;
}

/** @throws {WireError} structured_field_unserialisable */
export function serialiseBareItem(value: BareItem): string {
  switch (typeof value) {
    case 'number':
      return serialiseInteger(value);
    case 'string':
      return serialiseString(value);
    case 'boolean':
      return value ? '?1' : '?0';
  }
  if (value instanceof Uint8Array) return `:${encodeBase64(value)}:`;
  switch (value.type) {
    case 'decimal':
      return serialiseDecimal(value.value);
    case 'token':
      if (!/^[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*$/.test(value.value)) unserialisable();
      return value.value;
    case 'date':
      return `@${serialiseInteger(value.value)}`;
    case 'display':
      return serialiseDisplayString(value.value);
  }
}

function unserialisable(): never {
  throw new WireError('structured_field_unserialisable');
}

function serialiseInteger(value: number): string {
  if (!Number.isInteger(value) || Math.abs(value) > INTEGER_MAX) unserialisable();
  return String(value);
}

function serialiseString(value: string): string {
  if (/[^ -~]/.test(value)) unserialisable();
  return `"${value.replace(/["\\]/g, '\\$&')}"`;
}

/** Three digits after the point, the last rounded half to even (4.1.5). */
function serialiseDecimal(value: number): string {
  if (!Number.isFinite(value)) unserialisable();
  const thousandths = roundHalfToEven(Math.abs(value) * 1000);
  const whole = Math.floor(thousandths / 1000);
  if (whole > DECIMAL_INTEGER_MAX) unserialisable();
  const fraction = String(thousandths % 1000)
    .padStart(3, '0')
    .replace(/0{1,2}$/, '');
  return `${value < 0 && thousandths > 0 ? '-' : ''}${whole}.${fraction}`;
}

function roundHalfToEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}

/** UTF-8 bytes; `%`, `"` and what is not printable ASCII are escaped in lower case (4.1.11). */
function serialiseDisplayString(value: string): string {
  // A lone surrogate has no UTF-8 form; encoders replace it in silence.
  if (!value.isWellFormed()) unserialisable();
  let text = '%"';
  for (const byte of new TextEncoder().encode(value)) {
    const plain = byte >= 0x20 && byte < 0x7f && byte !== 0x25 && byte !== 0x22;
    text += plain ? String.fromCharCode(byte) : `%${byte.toString(16).padStart(2, '0')}`;
  }
  return `${text}"`;
}
