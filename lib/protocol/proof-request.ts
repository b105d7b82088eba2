// What hosts sign when they ask each other for sampled artifacts and when they answer.
//
// The signature covers the 64 ASCII characters of the lower-case hex digest, not the digest: the signer hashes them again.

import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, concatBytes, utf8ToBytes } from '@noble/hashes/utils.js'

export interface ProofRequest {
  /** The stage key (poc_stage_start_block_height). */
  readonly height: bigint
  readonly modelId: string
  /** 32 bytes. */
  readonly rootHash: Uint8Array
  readonly count: number
  /** Unix time in nanoseconds. */
  readonly timestamp: bigint
  readonly validatorAddress: string
  readonly signerAddress: string
}

export interface ArtifactProof {
  readonly leafIndex: number
  readonly nonce: number
  /** base64 text: the answer signs the text, not the bytes. */
  readonly vectorBase64: string
  readonly proofBase64: readonly string[]
}

const byNonceDomain = 'poc-proofs-by-nonce-v1'

function le32(value: number): Uint8Array {
  const out = new Uint8Array(4)
  new DataView(out.buffer).setUint32(0, value >>> 0, true)
  return out
}

function le64(value: bigint): Uint8Array {
  const out = new Uint8Array(8)
  new DataView(out.buffer).setBigUint64(0, BigInt.asUintN(64, value), true)
  return out
}

function text(value: string): Uint8Array {
  const bytes = utf8ToBytes(value)
  return concatBytes(le32(bytes.length), bytes)
}

function preimage(request: ProofRequest, words: readonly number[]): Uint8Array {
  return concatBytes(
    le64(request.height),
    text(request.modelId),
    request.rootHash,
    le32(request.count),
    le32(words.length),
    ...words.map(le32),
    le64(request.timestamp),
    text(request.validatorAddress),
    text(request.signerAddress),
  )
}

/** LE64 height || text model || root || LE32 count || LE32 n || n x LE32 index || LE64 time || text validator || text signer. */
export function proofRequestPreimage(request: ProofRequest, leafIndices: readonly number[]): Uint8Array {
  return preimage(request, leafIndices)
}

/** The same with nonces (signed, two's complement) in place of indices, behind a domain text. */
export function proofByNoncePreimage(request: ProofRequest, nonces: readonly number[]): Uint8Array {
  return concatBytes(text(byNonceDomain), preimage(request, nonces))
}

/** SHA-256 over each proof's LE32 index || LE32 nonce || base64 text of the vector || base64 texts of the proof. */
export function proofsHash(proofs: readonly ArtifactProof[]): Uint8Array {
  const hash = sha256.create()
  for (const p of proofs) {
    hash.update(le32(p.leafIndex)).update(le32(p.nonce)).update(utf8ToBytes(p.vectorBase64))
    for (const element of p.proofBase64) hash.update(utf8ToBytes(element))
  }
  return hash.digest()
}

/** LE64 height || text model || root || LE32 count || proofs hash || LE64 time || text signer. */
export function proofResponsePreimage(
  request: Omit<ProofRequest, 'validatorAddress'>,
  proofs: readonly ArtifactProof[],
): Uint8Array {
  return concatBytes(
    le64(request.height),
    text(request.modelId),
    request.rootHash,
    le32(request.count),
    proofsHash(proofs),
    le64(request.timestamp),
    text(request.signerAddress),
  )
}

/** The bytes handed to the signature: ASCII of the lower-case hex SHA-256 of a preimage. */
export function signedPayload(preimageBytes: Uint8Array): Uint8Array {
  return utf8ToBytes(bytesToHex(sha256(preimageBytes)))
}
