/** What our own signers cover of a request. */

/** Fields that are covered whenever they are sent, because a change of them changes what the request means. */
const COVERED_WHEN_SENT = ['content-type', 'content-digest', 'authorization'] as const;

/** @param sent names of the fields that are sent, in lower case */
export function usualCover(sent: ReadonlySet<string>): string[] {
  return ['@method', '@target-uri', ...COVERED_WHEN_SENT.filter((name) => sent.has(name))];
}
