// What a host submits to the chain about its own work: commitments while the window is open, then the distribution over its
// ML nodes.

import { sign } from '../chain/keys.ts'
import { type Any, packAny } from '../chain/messages.ts'
import { buildTx, estimateGas, signTx } from '../chain/tx.ts'
import type { Scheme } from './broker.ts'
import type { Callbacks } from './callbacks.ts'
import type { Account, SimChain, Stage } from './chain.ts'

export interface Transactions {
  /** Signs and broadcasts one message; returns why the chain refused it, or undefined. */
  submit(name: string, fields: Record<string, unknown>): Promise<string | undefined>
  commit(stage: Stage): Promise<void>
  distribute(stage: Stage): Promise<void>
}

export interface TransactionParts {
  readonly chain: SimChain
  readonly account: Account
  readonly privateKey: Uint8Array
  readonly scheme: Scheme
  readonly nodeCount: number
  readonly callbacks: Callbacks
  readonly onTrouble: (what: string) => void
}

export function createTransactions(parts: TransactionParts): Transactions {
  const { chain, account, scheme, callbacks, nodeCount } = parts

  const submit = async (name: string, fields: Record<string, unknown>): Promise<string | undefined> => {
    const message: Any = packAny(`inference.inference.${name}`, { creator: account.address, ...fields })
    const tx = buildTx({
      messages: [message],
      fee: { gas: estimateGas([message]), gasPrice: 1n },
      publicKey: account.publicKey,
      chainId: chain.chainId,
      accountNumber: 0n,
      timeoutSeconds: BigInt(Math.floor(Date.now() / 1000)) + 60n,
      memo: `${chain.height()}`,
    })
    const signed = await signTx(tx, (bytes) => sign(bytes, parts.privateKey))
    return chain.broadcast(signed.raw)
  }

  const commit = async (stage: Stage) => {
    let count: number
    let root: Uint8Array
    if (scheme.kind === 'v1') {
      // PoC v1 publishes nonces and distances themselves; the root stands for them in this chain's count rule.
      count = callbacks.v1Batches(stage.height).size
      root = new Uint8Array(32)
    } else {
      const store = callbacks.store(stage.height)
      if (store.count <= (stage.commits.get(account.address)?.count ?? 0)) return
      ;({ count, root } = store.flush())
    }
    if (count <= (stage.commits.get(account.address)?.count ?? 0)) return
    const entries = [{ model_id: chain.modelId, count, root_hash: root }]
    const why = await submit('MsgPoCV2StoreCommit', { poc_stage_start_block_height: BigInt(stage.height), entries })
    if (why !== undefined) parts.onTrouble(`commit refused: ${why}`)
  }

  const distribute = async (stage: Stage) => {
    const count = stage.commits.get(account.address)?.count ?? 0
    if (count === 0) return
    const base = Math.floor(count / nodeCount)
    const weights = Array.from({ length: nodeCount }, (_, i) => ({
      node_id: `node${i + 1}`,
      weight: i === 0 ? count - base * (nodeCount - 1) : base,
    }))
    const entries = [{ model_id: chain.modelId, weights }]
    const why = await submit('MsgMLNodeWeightDistribution', {
      poc_stage_start_block_height: BigInt(stage.height),
      entries,
    })
    if (why !== undefined) parts.onTrouble(`distribution refused: ${why}`)
  }

  return { submit, commit, distribute }
}
