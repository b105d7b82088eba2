/** What is fuzzed: an input must be refused with the right code, or be read and mean exactly one thing. */
import { GonkaError } from '../../lib/errors.ts'
import { decodePayload, decodeProofFile, encodePayload, encodeProofFile } from '../../lib/proof/codec.ts'
import type { Payload } from '../../lib/proof/payload.ts'
import { signProof } from '../../lib/proof/sign.ts'
import { statementProblem } from '../../lib/proof/statement.ts'
import { parseArtifactFile } from '../../lib/protocol/artifact-file.ts'
import {
  artifactTree,
  formatInclusion,
  inclusionProblem,
  parseInclusion,
  proveArtifact,
} from '../../lib/protocol/artifact-proof.ts'
import { provenWork } from '../../lib/protocol/matmul-pow-work.ts'
import { parseNonceList } from '../../lib/protocol/nonce-list.ts'
import { ffnHidden, namedParams, parameterCount, parseParams } from '../../lib/protocol/params.ts'
import { parseProofBatch } from '../../lib/protocol/proof-batch.ts'
import {
  privateKey,
  publicKeyHex,
  smallMatmulPow,
  smallParams,
  smallPayload,
  smallPocV2,
  withStatement,
} from '../proof/samples.ts'

export interface Target {
  readonly corpus: readonly Uint8Array[]
  /** The inputs are JSON: half of the mutations change values instead of bytes. */
  readonly json?: true
  /** True if the input was read. Throws if the program under test did anything else than read or refuse. */
  run(input: Uint8Array): boolean
}

/** Runs read; false if it refused with one of the codes. */
function refuses(codes: readonly string[], read: () => void): boolean {
  try {
    read()
    return true
  } catch (error) {
    if (error instanceof GonkaError && codes.includes(error.code)) return false
    throw error
  }
}

function mustEqual(a: Uint8Array, b: Uint8Array): void {
  if (Buffer.compare(a, b) !== 0) throw new Error('what was read encodes to other bytes')
}

const utf8 = new TextEncoder()
const json = (value: unknown): Uint8Array => utf8.encode(JSON.stringify(value))
const payloads: readonly Payload[] = [
  smallPayload,
  smallMatmulPow,
  smallPocV2,
  withStatement({ rTarget: 1.5, searched: 1000n }),
  withStatement({ partition: { nodeId: 3n, nodeCount: 5n, groupId: 1n, groupCount: 2n }, params: namedParams.v2 }),
  { ...smallPayload, energy: { method: 'powercap', joules: 0 } },
]

/** The value of a JSON text, or undefined for a text that is none: what a file reader passes on. */
function parsed(input: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(input))
  } catch {
    return undefined
  }
}

const artifacts = [0, 7, 19, 20_000_000].map((nonce) => ({ nonce, vector_b64: 'AAE8PLy8' }))
const inclusion = proveArtifact(artifactTree(parseArtifactFile({ artifacts }, 'corpus'), 'corpus'), 19)
if (inclusion === undefined) throw new Error('the corpus has no artifact 19')

export const targets: Readonly<Record<string, Target>> = {
  'proof-file': {
    corpus: payloads.map((payload) =>
      payload.statement.kind !== 'poc_v1' || payload.statement.partition.nodeCount === 1n
        ? signProof(payload, privateKey)
        : encodeProofFile({
            payload: encodePayload(payload),
            publicKey: new Uint8Array(33),
            signature: new Uint8Array(64),
          }),
    ),
    run: (input) =>
      refuses(['ERR_GK_PROOF_UNREADABLE'], () => mustEqual(encodeProofFile(decodeProofFile(input)), input)),
  },
  payload: {
    corpus: payloads.map(encodePayload),
    run: (input) =>
      refuses(['ERR_GK_PROOF_UNREADABLE'], () => {
        const payload = decodePayload(input)
        mustEqual(encodePayload(payload), input)
        const problem = statementProblem(payload.statement, publicKeyHex)
        if (problem !== undefined && !problem.code.startsWith('ERR_GK_PROOF_')) throw new Error(problem.code)
        const { statement } = payload
        if (problem === undefined && statement.kind === 'matmul_pow' && !(provenWork(statement).macs > 0)) {
          throw new Error('a statement without problem proves no work')
        }
        if (
          problem === undefined &&
          statement.kind === 'poc_v1' &&
          !Number.isSafeInteger(parameterCount(statement.params))
        ) {
          throw new Error('a statement without problem has impossible params')
        }
      }),
  },
  params: {
    corpus: [...Object.values(namedParams), smallParams].map(json),
    json: true,
    run: (input) =>
      refuses(['ERR_GK_PARAMS'], () => {
        const params = parseParams(parsed(input), 'fuzz')
        const count = parameterCount(params)
        if (
          !(
            Number.isSafeInteger(count) &&
            count > 0 &&
            Number.isSafeInteger(ffnHidden(params)) &&
            ffnHidden(params) > 0
          )
        ) {
          throw new Error(`accepted params with ${count} weights`)
        }
      }),
  },
  'proof-batch': {
    corpus: [
      json({ public_key: 'a', block_hash: 'b', block_height: 1, nonces: [1, 2, 3], dist: [1, 1.5, 0.2], node_id: 0 }),
      json({ public_key: '', block_hash: '', block_height: 0, nonces: [], dist: [], node_id: -1 }),
    ],
    json: true,
    run: (input) =>
      refuses(['ERR_GK_BATCH'], () => {
        const { nonces, dist } = parseProofBatch(parsed(input), 'fuzz')
        if (nonces.length !== dist.length) throw new Error('accepted lists of different lengths')
      }),
  },
  'nonce-list': {
    corpus: ['0-63,2147483647', '1', '5,1-2', '9007199254740991', '0-9,10-19 , 30'].map((text) => utf8.encode(text)),
    run: (input) =>
      refuses(['ERR_GK_NONCES'], () => {
        const text = new TextDecoder().decode(input)
        // Millions of nonces are a matter of memory, not of syntax.
        if (/\d{5,}\s*-|-\s*\d{5,}/.test(text)) return
        const nonces = parseNonceList(text)
        if (nonces.length === 0 || new Set(nonces).size !== nonces.length) throw new Error('empty or with duplicates')
      }),
  },
  'artifact-file': {
    corpus: [
      json({ artifacts, encoding: { dtype: 'f16', k_dim: 3, endian: 'le' }, params: { seq_len: 16 }, rng: 'murmur' }),
      json({
        ...{ artifacts: [], block_hash: 'a', public_key: 'b', poc_stronger_rng: true, engine: { url: 'http://x' } },
        traces: [{ nonce: 1, layers_f32_b64: ['AAAAAA==', ''], last_hidden_f32_b64: 'AACAPw==' }],
      }),
    ],
    json: true,
    run: (input) =>
      refuses(['ERR_GK_BATCH'], () => {
        const file = parseArtifactFile(parsed(input), 'fuzz')
        const tree = artifactTree(file, 'fuzz')
        for (const nonce of file.artifacts.keys()) {
          const proven = proveArtifact(tree, nonce)
          const problem = proven === undefined ? 'no proof' : inclusionProblem(proven)
          if (problem !== undefined) throw new Error(`nonce ${nonce} of an accepted file: ${problem}`)
        }
      }),
  },
  'artifact-proof': {
    corpus: [json(formatInclusion(inclusion))],
    json: true,
    run: (input) =>
      refuses(['ERR_GK_BATCH'], () => {
        const read = parseInclusion(parsed(input), 'fuzz')
        if (inclusionProblem(read) !== undefined) return
        const { committed, leaf } = inclusion
        const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0
        if (
          same(read.committed.root, committed.root) &&
          !(read.leaf.nonce === leaf.nonce && same(read.leaf.vector, leaf.vector))
        ) {
          throw new Error('another leaf was proven under the same root')
        }
      }),
  },
}
