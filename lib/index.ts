/**
 * gonka-miner as a library.
 *
 *   import { openDevice, pocV1, namedParams } from 'gonka-miner'
 *   const device = await openDevice()
 *   const round = { device, params: namedParams.default, blockHash: '9F2C', publicKey: '02a1', nonces: BigInt64Array.of(0n, 1n) }
 *   for await (const { nonces, dist } of pocV1(round)) console.log(nonces, dist)
 *   await device.close()
 *
 * Every long call takes an AbortSignal and stops within one batch; it then rejects with a GonkaError whose code is
 * ERR_GK_CANCELLED. Errors carry a code to switch on; their messages are for people.
 */
import { type DeviceChoice, openChosenDevice } from './backends.ts'
import { loadNative } from './native.ts'
import type { DeviceReport, NativeDevice } from './native-api.ts'

export { type BenchCase, type BenchFigure, type BenchOptions, bench, benchCases } from './bench/bench.ts'
export {
  type EnergyMeter,
  type EnergyReading,
  type MeasuredEnergy,
  measureEnergy,
  type NoEnergyMeter,
  openEnergyMeter,
} from './bench/energy.ts'
export { type Key, type KeyOrigin, keyOf, readKeyFile, writeKeyFile } from './chain/key-file.ts'
export {
  addressOf,
  defaultPath,
  privateKeyFromMnemonic,
  publicKeyOf,
  randomMnemonic,
  randomPrivateKey,
  sign,
  verifySignature,
} from './chain/keys.ts'
export { type ErrorCode, errorCodes, GonkaError, isGonkaError } from './errors.ts'
export type {
  BenchProblem,
  CheckResult,
  CheckSummary,
  ConformanceRequest,
  CpuPeak,
  DeviceReport,
  ImplementationReport,
  NativeDevice,
  OpName,
  PocV1Params,
  PocV1Session,
  PocV1Stats,
  Telemetry,
} from './native-api.ts'
export { collect, openSession, type PocV1Batch, type PocV1Options, pocV1, runSession } from './poc-v1.ts'
export type {
  Energy,
  Environment,
  MatmulPowStatement,
  Payload,
  PocV1Statement,
  Statement,
  Timing,
} from './proof/payload.ts'
export { type Proof, type ProveOptions, prove } from './proof/prove.ts'
export { type ProveThroughputOptions, proveThroughput, type ThroughputProof } from './proof/prove-throughput.ts'
export type { Recomputation } from './proof/recompute.ts'
export {
  type Expectations,
  type VerifyOptions,
  type VerifyResult,
  verifyProof as verify,
} from './proof/verify.ts'
export { belowTarget, type FraudVerdict, fraudTest } from './protocol/fraud.ts'
export { parseNonceList } from './protocol/nonce-list.ts'
export { namedParams, parameterCount, parseParams } from './protocol/params.ts'
export { inPartition, type Partition, partitionNonces, wholePartition } from './protocol/partition.ts'

/** What this machine offers. Libraries that GONKA_BACKEND_PATH names appear once openDevice has loaded them. */
export async function devices(): Promise<readonly DeviceReport[]> {
  return await loadNative().devices()
}

/**
 * Opens a device: the CPU, unless the choice names another. A library it needs is exercised in a child process first.
 * Close the device when done.
 */
export function openDevice(choice: DeviceChoice = {}): Promise<NativeDevice> {
  return openChosenDevice(loadNative(), choice)
}
