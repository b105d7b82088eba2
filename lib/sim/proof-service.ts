// Proof exchange between hosts: the public route of a network node, and the client that asks another host.

import { sign, verifySignature } from '../chain/keys.ts'
import {
  type ArtifactProof,
  proofByNoncePreimage,
  proofRequestPreimage,
  proofResponsePreimage,
  signedPayload,
} from '../protocol/proof-request.ts'
import { smstIndexOf, smstProve } from '../protocol/smst.ts'
import type { ArtifactStore } from './artifact-store.ts'
import type { Account } from './chain.ts'

export interface ProofServer {
  readonly account: Account
  readonly privateKey: Uint8Array
  readonly modelId: string
  /** Milliseconds since 1970 by this host's clock. */
  readonly now: () => number
  readonly store: (height: number) => ArtifactStore | undefined
  readonly accountOf: (address: string) => Account | undefined
}

const maxIndices = 500
const maxSkewNs = 300n * 10n ** 9n

export interface RouteAnswer {
  readonly status: number
  readonly body: unknown
}

const refuse = (status: number, error: string): RouteAnswer => ({ status, body: { error } })

/** Integers may be JSON numbers or strings; undefined for anything else. */
function integerOf(value: unknown): bigint | undefined {
  if (typeof value === 'number' && Number.isInteger(value)) return BigInt(value)
  return typeof value === 'string' && /^-?\d{1,19}$/.test(value) ? BigInt(value) : undefined
}

/** POST /v1/poc/proofs and, with byNonce, /v1/poc/proofs/by-nonce. */
export function answerProofs(server: ProofServer, body: Record<string, unknown>, byNonce: boolean): RouteAnswer {
  const height = integerOf(body.poc_stage_start_block_height)
  const count = integerOf(body.count)
  const timestamp = integerOf(body.timestamp)
  const listed = byNonce ? body.nonces : body.leaf_indices
  const { validator_address, validator_signer_address, signature, root_hash, model_id } = body
  if (
    height === undefined ||
    count === undefined ||
    timestamp === undefined ||
    !Array.isArray(listed) ||
    typeof validator_address !== 'string' ||
    typeof validator_signer_address !== 'string' ||
    typeof signature !== 'string' ||
    typeof root_hash !== 'string' ||
    model_id !== server.modelId
  ) {
    return refuse(400, 'missing or malformed field')
  }
  const words = listed.map((entry) => integerOf(entry))
  if (words.some((word) => word === undefined)) return refuse(400, 'leaf_indices must be integers')
  if (words.length === 0 || words.length > maxIndices) return refuse(400, `1 to ${maxIndices} leaves may be asked for`)
  const numbers = words.map(Number)
  const ahead = timestamp - BigInt(server.now()) * 1_000_000n
  if (ahead > maxSkewNs || ahead < -maxSkewNs) return refuse(400, 'timestamp is off by more than 5 minutes')
  const signer = server.accountOf(validator_signer_address)
  const rootHash = Uint8Array.from(Buffer.from(root_hash, 'base64'))
  if (rootHash.length !== 32) return refuse(400, 'root_hash must be 32 bytes')
  const request = {
    height,
    modelId: server.modelId,
    rootHash,
    count: Number(count),
    timestamp,
    validatorAddress: validator_address,
    signerAddress: validator_signer_address,
  }
  const preimage = byNonce ? proofByNoncePreimage(request, numbers) : proofRequestPreimage(request, numbers)
  const given = Uint8Array.from(Buffer.from(signature, 'base64'))
  if (signer === undefined || !verifySignature(given, signedPayload(preimage), signer.publicKey)) {
    return refuse(401, 'signature does not verify')
  }
  const store = server.store(Number(height))
  if (store === undefined) return refuse(404, 'no artifacts of this stage')
  const tree = store.at(Number(count), Buffer.from(rootHash).toString('hex'))
  if (tree === undefined)
    return refuse(400, Number(count) > store.count ? 'count exceeds what is stored' : 'root mismatch')
  const proofs: ArtifactProof[] = []
  for (const word of numbers) {
    const index = byNonce ? smstIndexOf(tree, word) : word
    const found = index === undefined ? undefined : smstProve(tree, index)
    if (found === undefined) return refuse(400, `leaf ${word} does not exist`)
    proofs.push({
      leafIndex: found.leaf.index,
      nonce: found.leaf.nonce,
      vectorBase64: Buffer.from(found.leaf.vector).toString('base64'),
      proofBase64: found.proof.map((element) => Buffer.from(element).toString('base64')),
    })
  }
  const answeredAt = BigInt(server.now()) * 1_000_000n
  const payload = signedPayload(
    proofResponsePreimage({ ...request, timestamp: answeredAt, signerAddress: server.account.address }, proofs),
  )
  return {
    status: 200,
    body: {
      proofs: proofs.map((p) => ({
        leaf_index: p.leafIndex,
        nonce_value: p.nonce,
        vector_bytes: p.vectorBase64,
        proof: p.proofBase64,
      })),
      signer_address: server.account.address,
      // Nanoseconds exceed what a JSON number holds exactly in JavaScript: text is allowed and exact.
      timestamp: answeredAt.toString(),
      signature: Buffer.from(sign(payload, server.privateKey)).toString('base64'),
    },
  }
}

export interface ProofClient {
  readonly account: Account
  readonly privateKey: Uint8Array
  readonly now: () => number
}

/** Asks a host for leaves. Throws on transport errors, statuses other than 200 and signatures that do not verify. */
export async function requestProofs(
  client: ProofClient,
  url: string,
  target: Account,
  commit: { readonly height: number; readonly modelId: string; readonly count: number; readonly root: Uint8Array },
  indices: readonly number[],
  signal: AbortSignal,
): Promise<ArtifactProof[]> {
  const request = {
    height: BigInt(commit.height),
    modelId: commit.modelId,
    rootHash: commit.root,
    count: commit.count,
    timestamp: BigInt(client.now()) * 1_000_000n,
    validatorAddress: client.account.address,
    signerAddress: client.account.address,
  }
  const signature = sign(signedPayload(proofRequestPreimage(request, indices)), client.privateKey)
  const answer = await fetch(`${url}/v1/poc/proofs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      poc_stage_start_block_height: commit.height,
      model_id: commit.modelId,
      root_hash: Buffer.from(commit.root).toString('base64'),
      count: commit.count,
      leaf_indices: indices,
      validator_address: request.validatorAddress,
      validator_signer_address: request.signerAddress,
      timestamp: request.timestamp.toString(),
      signature: Buffer.from(signature).toString('base64'),
    }),
    signal,
  })
  const text = await answer.text()
  if (answer.status !== 200) throw new Error(`proof request answered ${answer.status}: ${text.slice(0, 120)}`)
  const body = JSON.parse(text) as {
    proofs: { leaf_index: number; nonce_value: number; vector_bytes: string; proof: string[] }[]
    timestamp: string
    signature: string
  }
  const proofs = body.proofs.map((p) => ({
    leafIndex: p.leaf_index,
    nonce: p.nonce_value,
    vectorBase64: p.vector_bytes,
    proofBase64: p.proof,
  }))
  const response = { ...request, timestamp: BigInt(body.timestamp), signerAddress: target.address }
  const payload = signedPayload(proofResponsePreimage(response, proofs))
  if (!verifySignature(Uint8Array.from(Buffer.from(body.signature, 'base64')), payload, target.publicKey)) {
    throw new Error('the signature of the proofs does not verify')
  }
  return proofs
}
