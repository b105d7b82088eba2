// JSON logs. Secrets never get in: headers and tokens are redacted by name, callback URLs are logged by origin only (their
// path may carry a relay token), keys and passphrases are not passed to the logger at all.

import { type DestinationStream, type Logger, pino } from 'pino'

export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error' | 'fatal'>

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const

const redacted = [
  'authorization',
  'token',
  'headers.authorization',
  'headers.cookie',
  '*.authorization',
  '*.token',
  '*.passphrase',
  '*.privateKey',
  '*.mnemonic',
]

/** A logger that writes one JSON object a line to `stream`. */
export function createLog(level: string, stream: DestinationStream): Logger {
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, redact: { paths: redacted, censor: '[redacted]' } },
    stream,
  )
}

/** What of a URL may be logged. */
export function loggedUrl(url: string | null): string {
  if (url === null) return 'none'
  try {
    return new URL(url).origin
  } catch {
    return 'unparsable'
  }
}
