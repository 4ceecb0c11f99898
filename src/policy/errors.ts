/** What can keep a policy or a region database from being opened; told to the operator, never to a caller. */
type PolicyErrorCode =
  | 'policy_file_unreadable'
  | 'policy_file_invalid'
  | 'policy_allow_list_invalid'
  | 'policy_stored_invalid'
  | 'policy_checks_busy'
  | 'region_database_unreadable'
  | 'region_database_invalid';

export class PolicyError extends Error {
  readonly code: PolicyErrorCode;

  constructor(code: PolicyErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'PolicyError';
    this.code = code;
  }
}
