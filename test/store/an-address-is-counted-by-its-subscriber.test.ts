import { expect, test } from 'vitest';
import { addressKey, isAddressKey } from '../../src/store/address.ts';

test.each([
  ['192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['::FFFF:c000:207', '192.0.2.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::', '2001:db8:1:2::/64'],
  ['2001:0DB8:0001:0002:ffff:ffff:ffff:ffff', '2001:db8:1:2::/64'],
  ['::1', '0:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['', 'unknown'],
  ['127.1', 'unknown'],
  ['0x7f000001', 'unknown'],
  ['010.0.0.1', 'unknown'],
  ['192.0.2.7:80', 'unknown'],
  ['unix:/tmp/socket', 'unknown'],
  ['::g', 'unknown'],
])('%s is counted as %s', (address, key) => {
  expect(addressKey(address)).toBe(key);
});

test('a key read back from another node must be a key', () => {
  expect(isAddressKey('192.0.2.7')).toBe(true);
  expect(isAddressKey(addressKey('2001:db8::1'))).toBe(true);
  for (const text of ['', 'unknown', '2001:db8::1', '*', '192.0.2.0/24', `${'1'.repeat(9_000)}`]) {
    expect(isAddressKey(text)).toBe(false);
  }
});
