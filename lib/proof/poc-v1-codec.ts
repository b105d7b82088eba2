/** The statement of PoC v1 as a message. */
import { limits, type PocV1Statement } from './payload.ts'
import {
  integer,
  list,
  long,
  type Message,
  number,
  own,
  present,
  section,
  text,
  unreadable,
  withoutDefaults,
} from './wire.ts'

export function wirePocV1(statement: PocV1Statement): object {
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

export function readPocV1(message: Message): PocV1Statement {
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

/** A nonce of 2^63 or more has no place in a signed array; it is out of range either way. */
function signed(nonce: bigint): bigint {
  if (nonce >= 1n << 63n) throw unreadable(`nonce ${nonce} is above 2^53-1`)
  return nonce
}
