import t from 'tap'
import { keyOf } from '../../lib/chain/key-file.ts'
import { randomPrivateKey, sign } from '../../lib/chain/keys.ts'
import { packAny } from '../../lib/chain/messages.ts'
import { buildTx, signTx } from '../../lib/chain/tx.ts'
import { encodeVectorBytes } from '../../lib/protocol/artifact-vector.ts'
import { proofRequestPreimage, signedPayload } from '../../lib/protocol/proof-request.ts'
import { smstProve } from '../../lib/protocol/smst.ts'
import { createArtifactStore, forgedVector } from '../../lib/sim/artifact-store.ts'
import { createChain, simChainId, verdictOn } from '../../lib/sim/chain.ts'
import { proofProblem } from '../../lib/sim/check-proofs.ts'
import { answerProofs, type ProofServer } from '../../lib/sim/proof-service.ts'
import {
  confirmationHeights,
  confirmationWindow,
  mainnetParams,
  phaseAt,
  shortParams,
  stageHeights,
} from '../../lib/sim/schedule.ts'
import {
  confirmedWeight,
  epochReward,
  formatGnk,
  individualCap,
  outcome,
  participantWeight,
  pocWeight,
  rewardsOf,
} from '../../lib/sim/weights.ts'

t.test('heights of a stage on the public network', async (t) => {
  const s = stageHeights(1000, mainnetParams)
  t.same(s, {
    start: 1000,
    windDown: 1028,
    end: 1035,
    exchangeEnd: 1035,
    validationStart: 1040,
    validationWindDown: 1232,
    validationEnd: 1280,
  })
  const phases = [999, 1000, 1027, 1028, 1035, 1036, 1039, 1040, 1231, 1232, 1279, 1280].map((h) => phaseAt(h, s))
  t.same(phases, [
    'Inference',
    'PoCGenerate',
    'PoCGenerate',
    'PoCGenerateWindDown',
    'PoCGenerateWindDown',
    'Inference',
    'Inference',
    'PoCValidate',
    'PoCValidate',
    'PoCValidateWindDown',
    'PoCValidateWindDown',
    'Inference',
  ])
  t.match(confirmationHeights(5000, mainnetParams), {
    start: 5002,
    end: 5036,
    validationStart: 5041,
    validationEnd: 5280,
  })
  for (const params of [mainnetParams, shortParams]) {
    const window = confirmationWindow(1000, params)
    t.ok(window.first <= window.last, 'a confirmation fits into the epoch')
    t.ok(confirmationHeights(window.last, params).validationEnd < 1000 + params.epochLength)
  }
})

t.test('weights and rewards', async (t) => {
  t.equal(formatGnk(epochReward(1)), '323000.000')
  const later = Number(epochReward(403)) / 1e9
  t.ok(Math.abs(later - 266_900) < 100, `epoch 403 pays ${later} GNK`)
  t.equal(pocWeight(1000, 189, 210), 900)
  t.equal(pocWeight(1000, 189, undefined), 1000)
  t.equal(participantWeight([{ weightScaleFactor: 0.3024, pocWeight: 12029 }]), 3637)
  t.same([1, 2, 3, 4, 24].map(individualCap), [1, 0.5, 0.4, 0.3, 0.3])
  t.equal(confirmedWeight(100, 0, 95), 100, 'a deviation of 9 percent is allowed')
  t.equal(confirmedWeight(100, 0, 80), 88)
  t.equal(confirmedWeight(100, 50, 0), 50, 'what was preserved stays')
  t.equal(confirmedWeight(100, 0, undefined), 100)
  const hosts = [60, 30, 5, 5].map((weight) => ({ weight, effective: weight }))
  t.same(rewardsOf(hosts, 1000n), [300n, 300n, 50n, 50n], 'capped at 30 percent, the rest is not redistributed')
  t.same(rewardsOf([{ weight: 0, effective: 0 }], 1000n), [0n])
  t.equal(outcome({ validPower: 51, invalidPower: 49, totalPower: 100 }, 5000), 'accepted')
  t.equal(outcome({ validPower: 50, invalidPower: 0, totalPower: 100 }, 5000), 'rejected', 'half is not enough')
  t.equal(
    outcome({ validPower: 40, invalidPower: 0, totalPower: 100 }, 5000, [true, true]),
    'accepted',
    'guardians agree',
  )
  t.equal(outcome({ validPower: 40, invalidPower: 0, totalPower: 100 }, 5000, [true, undefined]), 'rejected')
})

const key = keyOf(randomPrivateKey())
const other = keyOf(randomPrivateKey())
const modelId = 'org/model'

async function txOf(
  name: string,
  fields: Record<string, unknown>,
  signer = key,
  creator = signer.address,
  chainId = simChainId,
) {
  const tx = buildTx({
    messages: [packAny(`inference.inference.${name}`, { creator, ...fields })],
    fee: { gas: 1n, gasPrice: 1n },
    publicKey: signer.publicKey,
    chainId,
    accountNumber: 0n,
    timeoutSeconds: 1n,
    memo: String(Math.random()),
  })
  return (await signTx(tx, (bytes) => sign(bytes, signer.privateKey))).raw
}

t.test('the chain refuses what the real one refuses', async (t) => {
  const chain = createChain({
    params: shortParams,
    blockMs: 2,
    modelId,
    seed: '1',
    confirmations: false,
    thresholdBps: 5000,
  })
  chain.register(key.publicKey)
  const until = (height: number) =>
    new Promise<void>((resolve) =>
      chain.onBlock((now) => {
        if (now !== height) return
        chain.stop()
        resolve()
      }),
    )
  const root = new Uint8Array(32).fill(1)
  const commit = (count: number, more: Record<string, unknown> = {}) =>
    txOf('MsgPoCV2StoreCommit', {
      poc_stage_start_block_height: 3n,
      entries: [{ model_id: modelId, count, root_hash: root, ...more }],
    })
  let reached = until(3)
  chain.start()
  await reached
  t.match(chain.broadcast(await commit(5)), /1108/, 'the window opens a block later')
  reached = until(10)
  chain.start()
  await reached
  const raw = await commit(5)
  t.equal(chain.broadcast(raw), undefined)
  t.match(chain.broadcast(raw), /already known/)
  t.match(chain.broadcast(await commit(5)), /not greater/)
  t.equal(chain.broadcast(await commit(6)), undefined)
  t.match(chain.broadcast(await commit(7, { root_hash: new Uint8Array(31) })), /31 bytes/)
  t.match(chain.broadcast(await commit(7, { model_id: 'x' })), /governance/)
  const entries = [{ model_id: modelId, count: 9, root_hash: root }]
  t.match(chain.broadcast(await txOf('MsgPoCV2StoreCommit', { poc_stage_start_block_height: 4n, entries })), /1107/)
  t.match(
    chain.broadcast(await txOf('MsgPoCV2StoreCommit', { poc_stage_start_block_height: 3n, entries }, other)),
    /no account/,
  )
  chain.register(other.publicKey)
  t.match(
    chain.broadcast(
      await txOf('MsgPoCV2StoreCommit', { poc_stage_start_block_height: 3n, entries }, other, key.address),
    ),
    /creator/,
  )
  t.match(
    chain.broadcast(
      await txOf('MsgPoCV2StoreCommit', { poc_stage_start_block_height: 3n, entries }, key, key.address, 'other-chain'),
    ),
    /signature/,
  )
  const weights = (sum: number) =>
    txOf('MsgMLNodeWeightDistribution', {
      poc_stage_start_block_height: 3n,
      entries: [{ model_id: modelId, weights: [{ node_id: 'node1', weight: sum }] }],
    })
  t.match(chain.broadcast(await weights(5)), /committed are 6/)
  t.equal(chain.broadcast(await weights(6)), undefined)
  const vote = (weight: bigint, signer = key) =>
    txOf(
      'MsgSubmitPocValidationsV2',
      {
        poc_stage_start_block_height: 3n,
        validations: [{ participant_address: key.address, validated_weight: weight, model_id: modelId }],
      },
      signer,
    )
  t.match(chain.broadcast(await vote(6n)), /closed/)
  reached = until(stageHeights(3, shortParams).validationStart)
  chain.start()
  await reached
  t.equal(chain.broadcast(await vote(6n)), undefined)
  t.equal(chain.broadcast(await vote(-1n)), undefined, 'a second vote is taken')
  t.equal(chain.broadcast(await vote(-1n, other)), undefined)
  const stage = chain.stages()[0]
  if (stage === undefined) throw new Error('no stage')
  const power = new Map([
    [key.address, 60],
    [other.address, 40],
  ])
  t.match(
    verdictOn(stage, key.address, power, 5000),
    { validPower: 60, invalidPower: 40, outcome: 'accepted' },
    'but does not count',
  )
  t.match(chain.broadcast(await commit(99)), /1108/)
  t.equal(stage.blockHash, stage.blockHash.toUpperCase(), 'regular stages print the hash in upper case')
})

t.test('proof exchange between hosts: codes and checks', async (t) => {
  const store = createArtifactStore()
  const artifacts = Array.from({ length: 40 }, (_, i) => ({
    nonce: 1 + 2 * i,
    vector: encodeVectorBytes(Float32Array.from({ length: 12 }, (_, j) => Math.sin(i + j))),
  }))
  t.equal(store.add(artifacts), 40)
  t.equal(store.add(artifacts.slice(0, 5)), 0, 'known nonces are skipped')
  const early = store.flush()
  store.add([{ nonce: 99, vector: forgedVector(99) }])
  const { count, root } = store.flush()
  const account = { address: key.address, publicKey: key.publicKey, publicKeyHex: '' }
  const asker = { address: other.address, publicKey: other.publicKey, publicKeyHex: '' }
  const server: ProofServer = {
    account,
    privateKey: key.privateKey,
    modelId,
    now: Date.now,
    store: (height) => (height === 3 ? store : undefined),
    accountOf: (address) => [account, asker].find((a) => a.address === address),
  }
  const request = (indices: number[], more: Record<string, unknown> = {}) => {
    const fields = { height: 3n, modelId, rootHash: root, count, timestamp: BigInt(Date.now()) * 1_000_000n, ...more }
    const body = {
      poc_stage_start_block_height: Number(fields.height),
      model_id: modelId,
      root_hash: Buffer.from(fields.rootHash as Uint8Array).toString('base64'),
      count: fields.count,
      leaf_indices: indices,
      validator_address: other.address,
      validator_signer_address: other.address,
      timestamp: String(fields.timestamp),
      signature: '',
    }
    const typed = { ...fields, validatorAddress: other.address, signerAddress: other.address } as Parameters<
      typeof proofRequestPreimage
    >[0]
    body.signature = Buffer.from(sign(signedPayload(proofRequestPreimage(typed, indices)), other.privateKey)).toString(
      'base64',
    )
    return body
  }
  const status = (body: Record<string, unknown>) => answerProofs(server, body, false).status
  t.equal(status(request([0, 40])), 200)
  t.equal(status(request([0], { rootHash: early.root, count: early.count })), 200, 'an earlier committed state')
  t.equal(status(request([41])), 400)
  t.equal(status(request([])), 400)
  t.equal(status(request(Array.from({ length: 501 }, (_, i) => i))), 400)
  t.equal(status(request([0], { count: 60 })), 400)
  t.equal(status(request([0], { rootHash: new Uint8Array(32) })), 400)
  t.equal(status(request([0], { timestamp: BigInt(Date.now() - 301_000) * 1_000_000n })), 400)
  t.equal(status(request([0], { height: 4n })), 404)
  t.equal(status({ ...request([0]), leaf_indices: [1] }), 401, 'signed for other leaves')
  t.equal(status({ ...request([0]), model_id: 'other' }), 400)
  t.equal(status({ ...request([0]), leaf_indices: ['0'] }), 200, 'integers may be text')
  t.equal(status({}), 400)

  const indices = [3, 7, 40]
  const { tree } = store.flush()
  const proofs = indices.map((index) => {
    const found = smstProve(tree, index)
    if (found === undefined) throw new Error('no leaf')
    return {
      leafIndex: index,
      nonce: found.leaf.nonce,
      vectorBase64: Buffer.from(found.leaf.vector).toString('base64'),
      proofBase64: found.proof.map((e) => Buffer.from(e).toString('base64')),
    }
  })
  type Proof = (typeof proofs)[number]
  const problem = (changed: Proof[], committed = { count, root }) => proofProblem(committed, indices, changed, 12)
  const first = proofs[0] as Proof
  t.equal(problem(proofs), undefined)
  t.match(problem(proofs.slice(1)), /1 of 3 leaves are missing/)
  t.match(problem([...proofs, first]), /twice/)
  t.match(problem([{ ...first, leafIndex: 4 }, ...proofs.slice(1)]), /not asked/)
  t.match(problem([{ ...first, vectorBase64: 'AAAA' }, ...proofs.slice(1)]), /24 bytes/)
  t.match(
    problem([
      { ...first, vectorBase64: Buffer.from(new Uint8Array(24).fill(0x7c)).toString('base64') },
      ...proofs.slice(1),
    ]),
    /finite/,
  )
  t.match(problem([{ ...first, nonce: 5 }, ...proofs.slice(1)]), /rank|root/)
  t.match(problem([{ ...first, nonce: 4100 }, ...proofs.slice(1)]), /too far out/)
  t.match(problem(proofs, { count, root: new Uint8Array(32) }), /root/)
  t.ok(
    forgedVector(1).every((byte, i) => i % 2 === 0 || (byte & 0x7c) !== 0x7c),
    'a forged vector is finite',
  )
})
