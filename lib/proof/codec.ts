/**
 * Proof files and payloads as bytes: proof.proto, in canonical form only.
 *
 * Decoding is strict by construction: what was decoded is encoded again and must give the same bytes. Unknown fields,
 * fields out of order or given twice, explicit defaults and overlong varints all fail that test.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import protobuf from 'protobufjs'
import { GonkaError, messageOf } from '../errors.ts'
import { packageRoot } from '../package-info.ts'
import {
  type Energy,
  type Environment,
  energyNotAvailable,
  limits,
  type Payload,
  type PocV1Statement,
  type Timing,
} from './payload.ts'

export interface ProofFile {
  /** Encoded Payload. */
  readonly payload: Uint8Array
  /** 33 bytes. */
  readonly publicKey: Uint8Array
  /** 64 bytes. */
  readonly signature: Uint8Array
}

const payloadVersion = 1

let root: protobuf.Root | undefined

function messageType(name: string): protobuf.Type {
  root ??= protobuf.parse(readFileSync(join(packageRoot(), 'lib', 'proof', 'proof.proto'), 'utf8')).root
  return root.lookupType(`gonka.proof.${name}`)
}

export function encodeProofFile(file: ProofFile): Uint8Array {
  return messageType('ProofFile').encode(withoutDefaults(file)).finish()
}

/** Throws ERR_GK_PROOF_UNREADABLE for anything that is not a complete, canonical proof file. */
export function decodeProofFile(bytes: Uint8Array): ProofFile {
  if (bytes.length > limits.fileBytes) {
    throw unreadable(`the file has ${bytes.length} bytes; at most ${limits.fileBytes} are accepted`)
  }
  const { payload, publicKey, signature } = decodeMessage('ProofFile', bytes) as unknown as Partial<ProofFile>
  if (!payload?.length) throw unreadable('the file holds no payload')
  if (publicKey?.length !== 33) throw unreadable(`the public key has ${publicKey?.length ?? 0} bytes; expected 33`)
  if (signature?.length !== 64) throw unreadable(`the signature has ${signature?.length ?? 0} bytes; expected 64`)
  // Copies: the decoder's arrays are Buffers over the input.
  const file = {
    payload: Uint8Array.from(payload),
    publicKey: Uint8Array.from(publicKey),
    signature: Uint8Array.from(signature),
  }
  requireCanonical(bytes, encodeProofFile(file), 'the file')
  return file
}

export function encodePayload(payload: Payload): Uint8Array {
  const { statement, environment, timing, energy } = payload
  return messageType('Payload')
    .encode({
      version: payloadVersion,
      pocV1: wirePocV1(statement),
      environment: withoutDefaults(environment),
      timing: withoutDefaults(timing),
      // An optional field is written whenever it is there, zero included.
      energy: { ...withoutDefaults({ method: energy.method }), ...present({ joules: energy.joules }) },
    })
    .finish()
}

function wirePocV1(statement: PocV1Statement): object {
  const { kind, rTarget, nonces, dist, params, partition, ...rest } = statement
  // Records of the protocol keep their published names; protobuf field names in this library are camel case.
  const camelCase = Object.entries(params).map(([name, value]) => [
    name.replace(/_(.)/g, (_, c: string) => c.toUpperCase()),
    value,
  ])
  return {
    ...withoutDefaults({ ...rest, nonces: Array.from(nonces, long), dist: Array.from(dist) }),
    ...present({ rTarget }),
    params: withoutDefaults(Object.fromEntries(camelCase) as Record<string, unknown>),
    partition: withoutDefaults(partition),
  }
}

/** Throws ERR_GK_PROOF_UNREADABLE for anything that is not a complete, canonical payload of a known version. */
export function decodePayload(bytes: Uint8Array): Payload {
  const message = decodeMessage('Payload', bytes)
  if (own(message, 'version') !== payloadVersion) {
    throw unreadable(
      `payload version ${String(own(message, 'version') ?? 0)}; this program reads version ${payloadVersion}`,
    )
  }
  const payload: Payload = {
    statement: readPocV1(section(message, 'pocV1', 'statement')),
    environment: readEnvironment(section(message, 'environment')),
    timing: readTiming(section(message, 'timing')),
    energy: readEnergy(section(message, 'energy')),
  }
  requireCanonical(bytes, encodePayload(payload), 'the payload')
  return payload
}

function readPocV1(message: Message): PocV1Statement {
  const params = section(message, 'params')
  const partition = section(message, 'partition')
  const nonces = list(message, 'nonces')
  const dist = list(message, 'dist')
  if (nonces.length > limits.artifacts) {
    throw unreadable(`${nonces.length} nonces; at most ${limits.artifacts} are accepted`)
  }
  if (nonces.length !== dist.length) throw unreadable(`${nonces.length} nonces but ${dist.length} distances`)
  return {
    kind: 'poc_v1',
    params: {
      dim: number(params, 'dim'),
      n_layers: number(params, 'nLayers'),
      n_heads: number(params, 'nHeads'),
      n_kv_heads: number(params, 'nKvHeads'),
      vocab_size: number(params, 'vocabSize'),
      ffn_dim_multiplier: number(params, 'ffnDimMultiplier'),
      multiple_of: number(params, 'multipleOf'),
      norm_eps: number(params, 'normEps'),
      rope_theta: number(params, 'ropeTheta'),
      use_scaled_rope: own(params, 'useScaledRope') === true,
      seq_len: number(params, 'seqLen'),
    },
    blockHash: text(message, 'blockHash', limits.blockHashBytes),
    publicKey: text(message, 'publicKey'),
    partition: {
      nodeId: integer(own(partition, 'nodeId')),
      nodeCount: integer(own(partition, 'nodeCount')),
      groupId: integer(own(partition, 'groupId')),
      groupCount: integer(own(partition, 'groupCount')),
    },
    rTarget: own(message, 'rTarget') === undefined ? undefined : number(message, 'rTarget'),
    searched: integer(own(message, 'searched')),
    nonces: BigInt64Array.from(nonces, (nonce) => signed(integer(nonce))),
    dist: Float64Array.from(dist as number[]),
  }
}

function readEnvironment(message: Message): Environment {
  const backendSha256 = own(message, 'backendSha256') ?? new Uint8Array()
  if (!(backendSha256 instanceof Uint8Array) || backendSha256.length !== 32) {
    throw unreadable('environment: the digest of the backend is not 32 bytes')
  }
  const compute = text(message, 'compute')
  if (compute !== 'f32' && compute !== 'f16') {
    throw unreadable(`environment: arithmetic ${JSON.stringify(compute)} is neither f32 nor f16`)
  }
  return {
    packageVersion: text(message, 'packageVersion'),
    platform: text(message, 'platform'),
    backend: text(message, 'backend'),
    backendVersion: text(message, 'backendVersion'),
    backendSha256: Uint8Array.from(backendSha256),
    device: text(message, 'device'),
    deviceName: text(message, 'deviceName'),
    arch: text(message, 'arch'),
    driver: text(message, 'driver'),
    implementation: text(message, 'implementation'),
    threads: number(message, 'threads'),
    compute,
  }
}

function readTiming(message: Message): Timing {
  const vouchedBy = text(message, 'vouchedBy')
  if (vouchedBy !== 'prover') throw unreadable(`timing: vouched for by ${JSON.stringify(vouchedBy)}; expected "prover"`)
  return {
    startedUnixMs: integer(own(message, 'startedUnixMs')),
    elapsedNs: integer(own(message, 'elapsedNs')),
    initNs: integer(own(message, 'initNs')),
    vouchedBy,
  }
}

function readEnergy(message: Message): Energy {
  const method = text(message, 'method')
  const joules = own(message, 'joules') === undefined ? undefined : number(message, 'joules')
  if (method === '') throw unreadable('energy: no method')
  if ((joules === undefined) !== (method === energyNotAvailable.method)) {
    throw unreadable('energy: joules are given exactly if they were read')
  }
  if (joules !== undefined && !(joules >= 0 && Number.isFinite(joules))) throw unreadable(`energy: ${joules} joules`)
  return { method, joules }
}

/** A decoded message: own properties are the fields that were in the bytes (repeated ones always). */
type Message = Readonly<Record<string, unknown>>

function decodeMessage(name: string, bytes: Uint8Array): Message {
  try {
    return messageType(name).decode(bytes) as unknown as Message
  } catch (error) {
    throw unreadable(`not a proof file: ${messageOf(error)}`, error)
  }
}

function own(message: Message, field: string): unknown {
  return Object.hasOwn(message, field) ? message[field] : undefined
}

function section(message: Message, field: string, name: string = field): Message {
  const value = own(message, field)
  if (value === undefined) throw unreadable(`the payload has no ${name}`)
  return value as Message
}

function list(message: Message, field: string): readonly unknown[] {
  return (own(message, field) ?? []) as readonly unknown[]
}

function number(message: Message, field: string): number {
  return (own(message, field) ?? 0) as number
}

function text(message: Message, field: string, limit: number = limits.textBytes): string {
  const value = (own(message, field) ?? '') as string
  if (Buffer.byteLength(value) > limit) throw unreadable(`${field} is longer than ${limit} bytes`)
  return value
}

/** An unsigned 64-bit field as protobufjs decodes it. */
function integer(value: unknown): bigint {
  if (value === undefined || typeof value === 'number') return BigInt(value ?? 0)
  const { low, high } = value as { low: number; high: number }
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
}

/** The inverse of integer(). */
function long(value: bigint): object {
  return { low: Number(BigInt.asIntN(32, value)), high: Number(BigInt.asIntN(32, value >> 32n)), unsigned: true }
}

/** A nonce of 2^63 or more has no place in a signed array; it is out of range either way. */
function signed(nonce: bigint): bigint {
  if (nonce >= 1n << 63n) throw unreadable(`nonce ${nonce} is above 2^53-1`)
  return nonce
}

function withoutDefaults(fields: object): Record<string, unknown> {
  const kept: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value === 'bigint') {
      if (value !== 0n) kept[name] = long(value)
    } else if (ArrayBuffer.isView(value) || Array.isArray(value)) {
      if ((value as { length: number }).length > 0) kept[name] = value
    } else if (value !== 0 && value !== '' && value !== false && value !== undefined) {
      kept[name] = value
    }
  }
  return kept
}

function present(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}

function requireCanonical(bytes: Uint8Array, again: Uint8Array, what: string): void {
  if (Buffer.compare(bytes, again) !== 0) throw unreadable(`${what} is not in canonical form`)
}

function unreadable(message: string, cause?: unknown): GonkaError {
  return new GonkaError('ERR_GK_PROOF_UNREADABLE', message, { cause })
}
