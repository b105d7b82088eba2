// What governs an outbox, and what it tells about its work.

export interface OutboxSettings {
  /** Artifacts are gathered this long before a batch goes out. */
  readonly intervalMs: number
  /** Most artifacts in one delivery. */
  readonly maxBatch: number
  readonly timeoutMs: number
  /** First delay after a failed delivery; doubles up to the other. */
  readonly backoffMs: number
  readonly maxBackoffMs: number
  /** Deliveries at a time, over all stages. */
  readonly concurrency: number
  /** Deliveries of one stage at a time: one that hangs does not hold up the others. */
  readonly flightsPerStage: number
  /** Memory for artifacts that a failing disk keeps from being stored, bytes. Generation waits beyond. */
  readonly maxPendingBytes: number
}

export const defaultOutboxSettings: OutboxSettings = {
  intervalMs: 1000,
  maxBatch: 5000,
  timeoutMs: 10_000,
  backoffMs: 500,
  maxBackoffMs: 10_000,
  concurrency: 8,
  flightsPerStage: 4,
  maxPendingBytes: 64 * 2 ** 20,
}

export interface OutboxEvents {
  generated(kind: string, count: number): void
  acknowledged(kind: string, count: number): void
  dropped(kind: string, count: number, reason: string): void
  delivery(outcome: 'ok' | 'retry' | 'dropped', seconds: number): void
  redelivered(count: number): void
}

/** Counted from the stage's start, milliseconds. */
export interface StageLimits {
  /** Nothing is delivered any more. */
  readonly deadlineMs: number
  /** Nothing is generated any more; a last call before the deadline at most, so that all of it can be offered. */
  readonly generationMs: number
}

/** Length of the last call before a deadline: everything not yet offered is, whatever failed before. */
export const lastCallMs = (deadlineMs: number): number => Math.min(5000, deadlineMs / 10)
