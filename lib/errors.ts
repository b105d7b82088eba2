/** Every error the package throws on purpose, and the exit code each one leads to. */

/** gk_status of gonka_backend.h: code in JavaScript and number in C. The addon makes its codes from the same names. */
export const statusCodes = {
  ERR_GK_INVALID_ARGUMENT: 10,
  ERR_GK_UNSUPPORTED: 20,
  ERR_GK_OUT_OF_MEMORY: 30,
  ERR_GK_DEVICE_ERROR: 31,
  ERR_GK_DEVICE_LOST: 32,
  ERR_GK_CANCELLED: 33,
  ERR_GK_SELFTEST_FAILED: 34,
  ERR_GK_INTERNAL: 35,
} as const

/** Codes that no backend knows: command line, files, keys, proofs. */
export const ownCodes = [
  'ERR_GK_USAGE', // the command line
  'ERR_GK_ADDON', // the native addon cannot be loaded
  'ERR_GK_BACKEND', // a candidate backend library failed in its child process
  'ERR_GK_FILE', // a file cannot be read or written
  'ERR_GK_FILE_EXISTS',
  'ERR_GK_PARAMS', // model parameters
  'ERR_GK_NONCES', // a nonce list
  'ERR_GK_BATCH', // a ProofBatch file
  'ERR_GK_KEY', // a key, mnemonic or key file
  'ERR_GK_KEY_MODE', // a key file that others may read
  'ERR_GK_PROOF_UNREADABLE', // not a proof file, truncated, or not in canonical form
  'ERR_GK_PROOF_SIGNATURE',
  'ERR_GK_PROOF_KEY', // signed by another key than the statement names
  'ERR_GK_PROOF_PARAMS',
  'ERR_GK_PROOF_DUPLICATE_NONCE',
  'ERR_GK_PROOF_PARTITION', // a nonce that belongs to another node or group
  'ERR_GK_PROOF_ARTIFACT', // a nonce or distance out of its range
  'ERR_GK_PROOF_DISTANCE', // recomputed distances differ
  'ERR_GK_PROOF_MODEL', // the model's files are missing or are another model's
  'ERR_GK_CHALLENGE', // a challenge service refused, or gives no answer
] as const

export type ErrorCode = keyof typeof statusCodes | (typeof ownCodes)[number]

export const errorCodes: readonly ErrorCode[] = [
  ...(Object.keys(statusCodes) as (keyof typeof statusCodes)[]),
  ...ownCodes,
]

/** What went wrong, under a code that callers may switch on; the message is for people and may change. */
export class GonkaError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'GonkaError'
    this.code = code
  }
}

/** True if error is a GonkaError, of this code where one is given. */
export function isGonkaError(error: unknown, code?: ErrorCode): error is GonkaError {
  return error instanceof GonkaError && (code === undefined || error.code === code)
}

export const exitCodes = { ok: 0, failed: 1, misuse: 2, interrupted: 130, brokenPipe: 141 } as const

const misuse: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ERR_GK_INVALID_ARGUMENT',
  'ERR_GK_USAGE',
  'ERR_GK_FILE',
  'ERR_GK_FILE_EXISTS',
  'ERR_GK_PARAMS',
  'ERR_GK_NONCES',
  'ERR_GK_BATCH',
  'ERR_GK_KEY',
  'ERR_GK_KEY_MODE',
  'ERR_GK_PROOF_UNREADABLE',
])

/** 2 for what the caller got wrong, 130 for an interruption, 1 for everything that failed although the request was fine. */
export function exitCodeOf(error: unknown): number {
  if (!isGonkaError(error)) return exitCodes.failed
  if (error.code === 'ERR_GK_CANCELLED') return exitCodes.interrupted
  return misuse.has(error.code) ? exitCodes.misuse : exitCodes.failed
}

/** Throws ERR_GK_CANCELLED if the signal has been aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new GonkaError('ERR_GK_CANCELLED', 'cancelled', { cause: signal.reason })
}

/** The text of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
