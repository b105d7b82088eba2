// What computes PoC artifacts. One engine is one group of the nonce partition: a device, or an upstream server.

import type { Telemetry } from '../native-api.ts'

/** Everything about a v2 stage that enters the artifacts. Strings are hashed as they stand. */
export interface PocV2Job {
  readonly blockHash: string
  readonly publicKey: string
  readonly model: string
  readonly seqLen: number
  readonly kDim: number
  readonly strongerRng: boolean
}

export interface Artifact {
  readonly nonce: number
  /** kDim fp16 values, little endian. */
  readonly vector: Uint8Array
}

/** Why an engine cannot serve a job: goes into a 409 answer as it stands. */
export interface JobRefusal {
  readonly error: string
  readonly requested: Readonly<Record<string, unknown>>
  readonly deployed: Readonly<Record<string, unknown>>
}

export interface PocV2Engine {
  /** "embedding", "upstream http://...", "native cpu:0". */
  readonly name: string
  /** Names under which its model is served; the first one is reported. Undefined: any name. */
  readonly models: readonly string[] | undefined
  /** Undefined if the job can run here. */
  refuse(job: PocV2Job): JobRefusal | undefined
  /** Resolves if the engine could compute now; rejects with the reason otherwise. Takes at most a few seconds. */
  check(): Promise<void>
  /** Computes artifacts, yielding batches of at most batchSize nonces in the order given. `computed` counts the nonces a
   *  batch tried; nonces without a usable artifact are left out. Stops within one batch of an abort by throwing
   *  ERR_GK_CANCELLED. Never blocks the event loop for more than some ten milliseconds. */
  generate(
    job: PocV2Job,
    nonces: Iterable<number>,
    batchSize: number,
    signal: AbortSignal,
  ): AsyncIterable<{ readonly computed: readonly number[]; readonly artifacts: readonly Artifact[] }>
  /** Sensors of the device it computes on; undefined where it has none that can be read now. */
  telemetry?(): Promise<Telemetry | undefined>
  close(): Promise<void>
}

/** Splits an iterable into arrays of at most `size`. */
export function* batchesOf(nonces: Iterable<number>, size: number): Generator<number[]> {
  let batch: number[] = []
  for (const nonce of nonces) {
    batch.push(nonce)
    if (batch.length === size) {
      yield batch
      batch = []
    }
  }
  if (batch.length > 0) yield batch
}
