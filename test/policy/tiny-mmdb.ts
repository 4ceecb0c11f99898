/** A MaxMind database of a few networks, written from the format's specification (version 2.0), for tests. */

/** `networks`: IPv4 CIDR to record, for example `{ '192.0.2.0/24': { country: { iso_code: 'DE' } } }`. */
export function tinyMmdb(networks: Readonly<Record<string, unknown>>): Buffer {
  type Child = Node | { data: number } | null;
  interface Node {
    children: [Child, Child];
    number: number;
  }
  const root: Node = { children: [null, null], number: 0 };
  const nodes: Node[] = [root];
  const records: Buffer[] = [];
  let dataLength = 0;
  for (const [cidr, record] of Object.entries(networks)) {
    const [address = '', length = '32'] = cidr.split('/');
    const bits = address
      .split('.')
      .map((octet) => Number(octet).toString(2).padStart(8, '0'))
      .join('');
    let node = root;
    for (let depth = 0; depth < Number(length); depth++) {
      const side = Number(bits[depth]) as 0 | 1;
      if (depth === Number(length) - 1) {
        node.children[side] = { data: dataLength };
      } else {
        let child = node.children[side];
        if (child === null || 'data' in child) {
          child = { children: [null, null], number: nodes.length };
          nodes.push(child);
          node.children[side] = child;
        }
        node = child;
      }
    }
    const encoded = encode(record);
    records.push(encoded);
    dataLength += encoded.length;
  }
  const tree = Buffer.alloc(nodes.length * 6);
  for (const [index, node] of nodes.entries()) {
    for (const [side, child] of node.children.entries()) {
      // "Not found" is the node count; a data record counts from there, behind the 16 bytes of the separator.
      const value =
        child === null ? nodes.length : 'data' in child ? nodes.length + 16 + child.data : child.number;
      tree.writeUIntBE(value, index * 6 + side * 3, 3);
    }
  }
  const metadata = encode({
    binary_format_major_version: 2,
    binary_format_minor_version: 0,
    build_epoch: 1_700_000_000,
    database_type: 'Tiny-Country',
    description: { en: 'made for a test' },
    ip_version: 4,
    languages: ['en'],
    node_count: nodes.length,
    record_size: 24,
  });
  const marker = Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1');
  return Buffer.concat([tree, Buffer.alloc(16), ...records, marker, metadata]);
}

/** Strings, unsigned 32-bit numbers, maps and lists shorter than 29 entries or bytes. */
function encode(value: unknown): Buffer {
  if (typeof value === 'string')
    return Buffer.concat([Buffer.from([(2 << 5) | value.length]), Buffer.from(value)]);
  if (typeof value === 'number') {
    const number = Buffer.alloc(5);
    number[0] = (6 << 5) | 4;
    number.writeUInt32BE(value, 1);
    return number;
  }
  if (Array.isArray(value)) return Buffer.concat([Buffer.from([value.length, 11 - 7]), ...value.map(encode)]);
  const entries = Object.entries(value as Record<string, unknown>);
  return Buffer.concat([
    Buffer.from([(7 << 5) | entries.length]),
    ...entries.flatMap(([key, member]) => [encode(key), encode(member)]),
  ]);
}
