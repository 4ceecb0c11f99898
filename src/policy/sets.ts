/** Named lists of the policy file: `$partners`, `{ preset: eu27 }`, sets of sets. */
import { countryFault, PRESETS } from './countries.ts';
import type { Path } from './located-yaml.ts';
import { type Complaint, suggest } from './schema-faults.ts';

/**
 * Values that all references to sets may add up to in one file. Sets of sets let a small file ask for a great deal; what a
 * person keeps by hand stays far below.
 */
const EXPANDED_VALUES_MAX = 200_000;
const SET_NAME = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/;

type SetValues = Readonly<Record<string, readonly string[] | { readonly preset: string }>>;

export interface Sets {
  /** The values of a list whose entries may be `$name` (`$$` is a literal `$`); each value is checked by `fault`. */
  expand(
    list: string | readonly string[],
    path: Path,
    fault: (text: string) => string | null,
  ): readonly string[];
  /** As `expand`, for countries; a bare `EU` is the set of that name or, without one, `eu27`. */
  regions(list: string | readonly string[], path: Path): readonly string[];
}

/** Complaints are pushed as they are found, also those about sets that nobody uses. */
export function openSets(values: SetValues, complaints: Complaint[]): Sets {
  const resolved = new Map<string, readonly string[]>();
  if (!Object.hasOwn(values, 'EU')) resolved.set('EU', PRESETS.get('eu27') ?? []);
  const open = new Set<string>();
  let expanded = 0;

  const complain = (path: Path, message: string) => {
    complaints.push({ path, message });
    return [];
  };
  const resolve = (name: string, path: Path): readonly string[] => {
    const known = resolved.get(name);
    if (known !== undefined) return known;
    const value = Object.hasOwn(values, name) ? values[name] : undefined;
    if (value === undefined) {
      return complain(path, `there is no set \`${name}\`${suggest(name, Object.keys(values))}`);
    }
    if (open.has(name)) return complain(path, `the set \`${name}\` contains itself`);
    open.add(name);
    const list =
      'preset' in value ? preset(value.preset, ['sets', name, 'preset']) : flatten(value, ['sets', name]);
    open.delete(name);
    resolved.set(name, list);
    return list;
  };
  const preset = (name: string, path: Path) =>
    PRESETS.get(name) ??
    complain(
      path,
      `there is no preset \`${name}\`; there is ${[...PRESETS.keys()].map((key) => `\`${key}\``).join(', ')}`,
    );
  const flatten = (list: string | readonly string[], path: Path, fault?: (text: string) => string | null) => {
    // Most rules name one plain value.
    if (typeof list === 'string' && !list.startsWith('$') && fault?.(list) === null) return [list];
    const all = new Set<string>();
    for (const [index, entry] of (typeof list === 'string' ? [list] : list).entries()) {
      const at = typeof list === 'string' ? path : [...path, index];
      const found = entriesOf(entry, at);
      expanded += found.length;
      if (expanded > EXPANDED_VALUES_MAX)
        return complain(at, `sets expand to more than ${EXPANDED_VALUES_MAX} values`);
      for (const value of found) {
        const message = all.has(value) ? null : (fault?.(value) ?? null);
        if (message === null) all.add(value);
        else complain(at, entry === value ? message : `the set \`${entry.slice(1)}\`: ${message}`);
      }
    }
    return [...all];
  };

  const entriesOf = (entry: string, at: Path): readonly string[] => {
    if (!entry.startsWith('$')) return [entry];
    return entry.startsWith('$$') ? [entry.slice(1)] : resolve(entry.slice(1), at);
  };

  for (const name of Object.keys(values)) {
    if (!SET_NAME.test(name))
      complaints.push({ path: ['sets', name], part: 'key', message: `\`${name}\` is not a name for a set` });
    resolve(name, ['sets', name]);
  }
  return {
    expand: flatten,
    regions(list, path) {
      const named = (entry: string) => (entry === 'EU' ? '$EU' : entry);
      return flatten(typeof list === 'string' ? named(list) : list.map(named), path, countryFault);
    },
  };
}
