/** Source address to country, from the database (MMDB) that the operator brings. A hint: the best databases disagree on 2-6 %. */
import { isIP } from 'node:net';
import { open, type Reader, type Response } from 'maxmind';
import { PolicyError } from './errors.ts';

/** Decoded records kept: one for each country and network of a busy hour, 1 MB or so. */
const RECORDS_CACHED_MAX = 10_000;
const MAPPED_IPV4 = /^::ffff:(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})$/i;
/** Every record of the search tree begins after this many bytes of zeros (MaxMind DB format 2.0, "Data Section Separator"). */
const SEPARATOR_BYTES = 16;

export interface Regions {
  /** ISO 3166-1 alpha-2, or null when the address is not in the database or is no address. Never throws. */
  lookup(address: string): string | null;
  /** Type and build date of the database, for the log. */
  readonly description: string;
}

/** Reads the whole database into memory. Throws `PolicyError` when it cannot be read or is damaged. */
export async function openRegions(file: string): Promise<Regions> {
  let reader: Reader<Response>;
  try {
    reader = await open<Response>(file, { cache: { max: RECORDS_CACHED_MAX } });
    probe(reader);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (typeof code === 'string' && 'syscall' in (error as object)) {
      throw new PolicyError('region_database_unreadable', `${file}: cannot be read (${code})`, error);
    }
    const why = error instanceof Error ? error.message : String(error);
    throw new PolicyError('region_database_invalid', `${file}: not a usable MMDB file (${why})`, error);
  }
  const { databaseType, buildEpoch } = reader.metadata;
  return {
    lookup: (address) => lookUp(reader, address),
    description: `${databaseType} of ${buildEpoch.toISOString().slice(0, 10)}`,
  };
}

/** A file cut short parses until someone asks for what is gone: ask at once. */
function probe(reader: Reader<Response>): void {
  const { searchTreeSize, nodeCount, ipVersion } = reader.metadata;
  // mmdb-lib keeps the file private; the tree must at least fit in front of the data.
  const size = (reader as unknown as { db: Buffer }).db.length;
  if (!(nodeCount > 0) || searchTreeSize + SEPARATOR_BYTES > size)
    throw new Error('the search tree is cut short');
  for (const address of ['1.1.1.1', '8.8.8.8', '203.0.113.1']) reader.get(address);
  if (ipVersion === 6) reader.get('2606:4700::1');
}

function lookUp(reader: Reader<Response>, address: string): string | null {
  const plain = MAPPED_IPV4.exec(address)?.[1] ?? address;
  const version = isIP(plain);
  if (version === 0 || (version === 6 && reader.metadata.ipVersion === 4)) return null;
  try {
    return countryOf(reader.get(plain));
  } catch {
    // A damaged record is an unknown region, which `unknown_region` decides about; the path must not fail for it.
    return null;
  }
}

/** `country.iso_code` in GeoLite2 and DB-IP, a bare `country` or `country_code` in others. */
function countryOf(record: unknown): string | null {
  if (typeof record !== 'object' || record === null) return null;
  const { country, country_code: flat } = record as Record<string, unknown>;
  const nested =
    typeof country === 'object' && country !== null ? (country as Record<string, unknown>).iso_code : country;
  const code = nested ?? flat;
  return typeof code === 'string' && /^[A-Z]{2}$/.test(code) ? code : null;
}
