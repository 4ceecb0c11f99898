import { type TSchema, Type } from 'typebox';

/** The value, or null. */
export function nullable<T extends TSchema>(schema: T) {
  return Type.Union([schema, Type.Null()]);
}
