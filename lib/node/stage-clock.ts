// Time for deadlines: it must not jump when the wall clock is set, and must survive a restart of the process. Seconds since
// boot do both; the boot's id tells whether two readings are comparable. Otherwise the wall clock has to do.

import { readFileSync } from 'node:fs'
import { uptime } from 'node:os'

export interface StageInstant {
  readonly bootId: string
  /** Milliseconds since boot. */
  readonly bootMs: number
  /** Milliseconds since 1970. */
  readonly wallMs: number
}

export interface StageClock {
  now(): StageInstant
  /** Milliseconds from an earlier instant until now; never negative. */
  since(earlier: StageInstant): number
}

export function systemClock(): StageClock {
  let bootId = ''
  try {
    bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    // Other systems have no such file: instants of other processes are then compared by the wall clock.
    bootId = `process-${process.pid}`
  }
  const now = () => ({ bootId, bootMs: Math.round(uptime() * 1000), wallMs: Date.now() })
  return {
    now,
    since(earlier) {
      const current = now()
      const elapsed =
        earlier.bootId === current.bootId ? current.bootMs - earlier.bootMs : current.wallMs - earlier.wallMs
      return Math.max(0, elapsed)
    },
  }
}
