/** The statement of PoC v2 as a message. */
import { limits, type PocV2Statement } from './payload.ts'
import { integer, list, long, type Message, number, own, text, unreadable, withoutDefaults } from './wire.ts'

export function wirePocV2(statement: PocV2Statement): object {
  const { kind, nonces, ...rest } = statement
  return withoutDefaults({ ...rest, nonces: Array.from(nonces, long) })
}

export function readPocV2(message: Message): PocV2Statement {
  const nonces = list(message, 'nonces')
  if (nonces.length > limits.artifacts) {
    throw unreadable(`${nonces.length} nonces; at most ${limits.artifacts} are accepted`)
  }
  const kDim = number(message, 'kDim')
  const vectors = bytes(message, 'vectors')
  if (vectors.length !== 2 * kDim * nonces.length) {
    throw unreadable(`${vectors.length} bytes of vectors; ${nonces.length} nonces with k_dim ${kDim} take others`)
  }
  const modelSha256 = bytes(message, 'modelSha256')
  if (modelSha256.length !== 32) throw unreadable('the digest of the model is not 32 bytes')
  const rng = text(message, 'rng')
  if (rng !== 'murmur' && rng !== 'concat-murmur') throw unreadable(`generator ${JSON.stringify(rng)} is not known`)
  return {
    kind: 'poc_v2',
    modelSha256,
    architecture: text(message, 'architecture'),
    blockHash: text(message, 'blockHash', limits.blockHashBytes),
    publicKey: text(message, 'publicKey'),
    seqLen: number(message, 'seqLen'),
    kDim,
    rng,
    searched: integer(own(message, 'searched')),
    nonces: BigInt64Array.from(nonces, (nonce) => signed(integer(nonce))),
    vectors,
  }
}

function bytes(message: Message, field: string): Uint8Array {
  const value = own(message, field) ?? new Uint8Array()
  if (!(value instanceof Uint8Array)) throw unreadable(`${field} is not bytes`)
  return Uint8Array.from(value)
}

function signed(nonce: bigint): bigint {
  if (nonce >= 1n << 63n) throw unreadable(`nonce ${nonce} is above 2^53-1`)
  return nonce
}
