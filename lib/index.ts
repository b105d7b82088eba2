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
import type { DeviceReport, NativeDevice, TinyModelFiles, TinyModelRequest } from './native-api.ts'
import { type ProveV2Options, proveV2 as proveV2With } from './proof/prove-v2.ts'
import { type VerifyOptions, type VerifyResult, verifyProof } from './proof/verify.ts'

export { type AgainstOptions, benchAgainst } from './bench/against.ts'
export { type BenchFigure, type BenchOptions, type BenchReport, bench } from './bench/bench.ts'
export { type Build, copiedBuild, fixedBuild } from './bench/build-copies.ts'
export type { BenchCase } from './bench/case.ts'
export { type ComparisonReport, compareResults } from './bench/compare.ts'
export {
  type EnergyMeter,
  type EnergyReading,
  type MeasuredEnergy,
  measureEnergy,
  type NoEnergyMeter,
  openEnergyMeter,
} from './bench/energy.ts'
export { reportPage, reportPicture } from './bench/report/page.ts'
export { type ResultFile, readResultFile, toResultFile } from './bench/result-file.ts'
export { loadSuite, suiteNames } from './bench/suite.ts'
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
export { compareFiles, type Drift, type DriftVerdict, type LayerDrift } from './drift.ts'
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
  PocV2Rng,
  PocV2Session,
  PocV2Stats,
  Telemetry,
  TinyModelFiles,
  TinyModelRequest,
} from './native-api.ts'
export { collect, openSession, type PocV1Batch, type PocV1Options, pocV1, runSession } from './poc-v1.ts'
export { type PocV2Batch, type PocV2Options, type PocV2RunOptions, pocV2, runPocV2 } from './poc-v2.ts'
export type {
  Energy,
  Environment,
  MatmulPowStatement,
  Payload,
  PocV1Statement,
  PocV2Statement,
  Statement,
  Timing,
} from './proof/payload.ts'
export { type Proof, type ProveOptions, prove } from './proof/prove.ts'
export { type ProveThroughputOptions, proveThroughput, type ThroughputProof } from './proof/prove-throughput.ts'
export type { Recomputation } from './proof/recompute.ts'
export type { Expectations, VerifyOptions, VerifyResult } from './proof/verify.ts'
export { type ArtifactFile, type ArtifactTrace, loadArtifactFile, parseArtifactFile } from './protocol/artifact-file.ts'
export {
  type ArtifactInclusion,
  artifactTree,
  formatInclusion,
  inclusionProblem,
  parseInclusion,
  proveArtifact,
} from './protocol/artifact-proof.ts'
export { decodeVector, encodeVector } from './protocol/artifact-vector.ts'
export { belowTarget, type FraudVerdict, fraudTest } from './protocol/fraud.ts'
export { defaultStatTest, type StatTest } from './protocol/fraud-test.ts'
export { parseNonceList } from './protocol/nonce-list.ts'
export { namedParams, parameterCount, parseParams } from './protocol/params.ts'
export { inPartition, type Partition, partitionNonces, wholePartition } from './protocol/partition.ts'
export { type LeafSample, sampleLeafIndices } from './protocol/sampling.ts'
export { type Smst, type SmstLeaf, type SmstRoot, smstRoot } from './protocol/smst.ts'
export {
  type ComputedArtifact,
  type ValidationRequest,
  type ValidationResult,
  validateArtifacts,
  vectorDistance,
} from './protocol/validation-v2.ts'

/** What this machine offers. Libraries that GONKA_BACKEND_PATH names appear once openDevice has loaded them. */
export async function devices(): Promise<readonly DeviceReport[]> {
  return await loadNative().devices()
}

/**
 * Whether a proof file is true. Throws ERR_GK_PROOF_UNREADABLE if bytes are no proof file, and what the device throws;
 * every other defect is a result that says so. Shares are recomputed by the addon on all threads.
 */
export function verify(bytes: Uint8Array, options: VerifyOptions): Promise<VerifyResult> {
  return verifyProof(bytes, { checkShares: (...given) => loadNative().checkShares(...given), ...options })
}

/**
 * Opens a device: the CPU, unless the choice names another. A library it needs is exercised in a child process first.
 * Close the device when done.
 */
export function openDevice(choice: DeviceChoice = {}): Promise<NativeDevice> {
  return openChosenDevice(loadNative(), choice)
}

/** A signed PoC v2 round. Throws ERR_GK_* of the device and of the model's files. */
export function proveV2(options: Omit<ProveV2Options, 'native'>): ReturnType<typeof proveV2With> {
  return proveV2With({ ...options, native: loadNative() })
}

/** The name of a model: 64 hexadecimal digits over its configuration and every tensor. Reads all weights. */
export function modelDigest(
  directory: string,
  options: { readonly onProgress?: (fraction: number, step: string) => void; readonly signal?: AbortSignal } = {},
): Promise<string> {
  return loadNative().modelDigest(directory, options.onProgress, options.signal)
}

/** Writes a small random model of a family, or a published shape; the directory must exist and hold no model. */
export function makeTinyModel(request: TinyModelRequest): Promise<TinyModelFiles> {
  return loadNative().makeTinyModel(request)
}
