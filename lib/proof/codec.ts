/**
 * Proof files and payloads as bytes: proof.proto, in canonical form only.
 *
 * Decoding is strict by construction: what was decoded is encoded again and must give the same bytes. Unknown fields,
 * fields out of order or given twice, explicit defaults and overlong varints all fail that test.
 */
import { readMatmulPow, wireMatmulPow } from './matmul-pow-codec.ts'
import {
  type Energy,
  type Environment,
  energyNotAvailable,
  limits,
  type Payload,
  type Statement,
  type Timing,
} from './payload.ts'
import { readPocV1, wirePocV1 } from './poc-v1-codec.ts'
import { readPocV2, wirePocV2 } from './poc-v2-codec.ts'
import {
  decodeMessage,
  integer,
  type Message,
  messageType,
  number,
  own,
  present,
  requireCanonical,
  section,
  text,
  unreadable,
  withoutDefaults,
} from './wire.ts'

export interface ProofFile {
  /** Encoded Payload. */
  readonly payload: Uint8Array
  /** 33 bytes. */
  readonly publicKey: Uint8Array
  /** 64 bytes. */
  readonly signature: Uint8Array
}

const payloadVersion = 1

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
      ...wireStatement(statement),
      environment: withoutDefaults(environment),
      timing: withoutDefaults(timing),
      // An optional field is written whenever it is there, zero included.
      energy: { ...withoutDefaults({ method: energy.method }), ...present({ joules: energy.joules }) },
    })
    .finish()
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
    statement: readStatement(message),
    environment: readEnvironment(section(message, 'environment')),
    timing: readTiming(section(message, 'timing')),
    energy: readEnergy(section(message, 'energy')),
  }
  requireCanonical(bytes, encodePayload(payload), 'the payload')
  return payload
}

function wireStatement(statement: Statement): object {
  switch (statement.kind) {
    case 'poc_v1':
      return { pocV1: wirePocV1(statement) }
    case 'poc_v2':
      return { pocV2: wirePocV2(statement) }
    case 'matmul_pow':
      return { matmulPow: wireMatmulPow(statement) }
  }
}

function readStatement(message: Message): Statement {
  // Both would mean two statements under one signature; the encoding again would drop one and differ.
  if (own(message, 'matmulPow') !== undefined) return readMatmulPow(section(message, 'matmulPow'))
  if (own(message, 'pocV2') !== undefined) return readPocV2(section(message, 'pocV2'))
  return readPocV1(section(message, 'pocV1', 'statement'))
}

function readEnvironment(message: Message): Environment {
  const backendSha256 = own(message, 'backendSha256') ?? new Uint8Array()
  if (!(backendSha256 instanceof Uint8Array) || backendSha256.length !== 32) {
    throw unreadable('environment: the digest of the backend is not 32 bytes')
  }
  const compute = text(message, 'compute')
  if (compute !== 'f32' && compute !== 'f16' && compute !== 'bf16' && compute !== 'i32') {
    throw unreadable(`environment: arithmetic ${JSON.stringify(compute)} is none of f32, f16, bf16, i32`)
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
