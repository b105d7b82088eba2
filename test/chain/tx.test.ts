import { readFileSync } from 'node:fs'
import { ripemd160 } from '@noble/hashes/legacy.js'
import { sha256 } from '@noble/hashes/sha2.js'
import t from 'tap'
import { feeGrantMessage, grantMessages, warmKeyMessages } from '../../lib/chain/grants.ts'
import {
  addressOf,
  addressPrefixes,
  privateKeyFromMnemonic,
  publicKeyOf,
  sign,
  verifySignature,
} from '../../lib/chain/keys.ts'
import { decodeMessage, encodeMessage, packAny } from '../../lib/chain/messages.ts'
import { claimDelayBlocks, epochSeed, seedSignature } from '../../lib/chain/seed.ts'
import { buildTx, describeTx, estimateGas, execMessage, signTx } from '../../lib/chain/tx.ts'
import {
  proofByNoncePreimage,
  proofRequestPreimage,
  proofResponsePreimage,
  proofsHash,
  signedPayload,
} from '../../lib/protocol/proof-request.ts'

const v = JSON.parse(readFileSync('test/golden/protocol/vectors_keys_sign_tx.json', 'utf8'))
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const unhex = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'))
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')
const cold = await privateKeyFromMnemonic(v.keys.mnemonic, v.keys.cold.path)
const warm = await privateKeyFromMnemonic(v.keys.mnemonic, v.keys.warm.path)
const coldAddress = v.keys.cold.address as string
const warmAddress = v.keys.warm.address as string

t.test('keys and addresses', async (t) => {
  for (const [key, expected] of [
    [cold, v.keys.cold],
    [warm, v.keys.warm],
  ]) {
    t.equal(hex(key), expected.priv_hex)
    t.equal(hex(publicKeyOf(key)), expected.pub_hex)
    t.equal(base64(publicKeyOf(key)), expected.pub_b64)
    t.equal(addressOf(publicKeyOf(key)), expected.address)
  }
  t.equal(addressOf(publicKeyOf(cold), addressPrefixes.operator), v.keys.valoper_of_cold)
})

t.test('proof requests and answers: preimages, payloads, signatures', async (t) => {
  const p = v.proof_request
  const request = {
    height: BigInt(p.height),
    modelId: p.model_id,
    rootHash: unhex(p.root_hash_hex),
    count: p.count,
    timestamp: 1700000000000000000n,
    validatorAddress: p.validator_address,
    signerAddress: p.validator_signer_address,
  }
  const byIndex = proofRequestPreimage(request, p.leaf_indices)
  t.equal(hex(byIndex), p.preimage_hex)
  t.equal(Buffer.from(signedPayload(byIndex)).toString(), p.payload_ascii)
  t.equal(base64(sign(signedPayload(byIndex), warm)), p.signature_b64_by_warm)
  const n = v.proof_request_by_nonce
  const byNonce = proofByNoncePreimage(request, n.nonces)
  t.equal(hex(byNonce), n.preimage_hex)
  t.equal(Buffer.from(signedPayload(byNonce)).toString(), n.payload_ascii)
  t.equal(base64(sign(signedPayload(byNonce), warm)), n.signature_b64_by_warm)
  const r = v.proof_response
  const proofs = r.proofs.map(
    (x: { leaf_index: number; nonce_value: number; vector_bytes: string; proof: string[] }) => ({
      leafIndex: x.leaf_index,
      nonce: x.nonce_value,
      vectorBase64: x.vector_bytes,
      proofBase64: x.proof,
    }),
  )
  t.equal(hex(proofsHash(proofs)), r.proofs_hash_hex)
  const answer = signedPayload(proofResponsePreimage(request, proofs))
  t.equal(Buffer.from(answer).toString(), r.payload_ascii)
  const signature = Uint8Array.from(Buffer.from(r.signature_b64_by_warm, 'base64'))
  t.equal(base64(sign(answer, warm)), r.signature_b64_by_warm)
  t.ok(verifySignature(signature, answer, publicKeyOf(warm)))
  t.notOk(verifySignature(signature, answer, publicKeyOf(cold)))
})

const root = unhex(v.proof_request.root_hash_hex)
const validatorKey = base64(new Uint8Array(32))
const height = 12345n
const storeCommit = {
  creator: coldAddress,
  poc_stage_start_block_height: height,
  entries: [{ model_id: 'model-a', count: 50000, root_hash: root }],
}
const messages: Record<string, Record<string, unknown>> = {
  MsgPoCV2StoreCommit: storeCommit,
  MsgSubmitHardwareDiff: {
    creator: coldAddress,
    newOrModified: [
      {
        local_id: 'node1',
        status: 1,
        models: ['model-a'],
        hardware: [{ type: 'NVIDIA H100 80GB HBM3 | 80GB', count: 8 }],
        host: 'inference',
        port: '5000',
      },
    ],
  },
  MsgSubmitNewParticipant: { creator: coldAddress, url: 'http://203.0.113.5:8000', validator_key: validatorKey },
  MsgSubmitNewUnfundedParticipant: {
    creator: warmAddress,
    address: coldAddress,
    url: 'http://203.0.113.5:8000',
    pub_key: v.keys.cold.pub_b64,
    validator_key: validatorKey,
  },
  MsgMLNodeWeightDistribution: {
    creator: coldAddress,
    poc_stage_start_block_height: height,
    entries: [
      {
        model_id: 'model-a',
        weights: [
          { node_id: 'node1', weight: 30000 },
          { node_id: 'node2', weight: 20000 },
        ],
      },
    ],
  },
  MsgSubmitPocValidationsV2: {
    creator: coldAddress,
    poc_stage_start_block_height: height,
    validations: [
      { participant_address: warmAddress, validated_weight: -1n, model_id: 'model-a' },
      { participant_address: coldAddress, validated_weight: 50000n, model_id: 'model-a' },
    ],
  },
}

t.test('messages encode to the published bytes', async (t) => {
  t.same(Object.keys(messages).sort(), Object.keys(v.protobuf).sort())
  for (const [name, fields] of Object.entries(messages)) {
    t.equal(hex(encodeMessage(`inference.inference.${name}`, fields)), v.protobuf[name], name)
  }
  t.throws(() => encodeMessage('inference.inference.MsgSubmitSeed', { creater: 'x' }), /no field creater/)
})

/** A decoder that knows the wire format only: tag, wire type, payload. */
function wire(bytes: Uint8Array): [number, bigint | Uint8Array][] {
  const out: [number, bigint | Uint8Array][] = []
  let at = 0
  const varint = () => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++]
      if (byte === undefined) throw new Error('truncated')
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
  }
  while (at < bytes.length) {
    const tag = Number(varint())
    if ((tag & 7) === 0) out.push([tag >> 3, varint()])
    else if ((tag & 7) === 2) {
      const length = Number(varint())
      out.push([tag >> 3, bytes.subarray(at, at + length)])
      at += length
    } else throw new Error(`wire type ${tag & 7}`)
  }
  if (at !== bytes.length) throw new Error('overrun')
  return out
}

t.test('an independent reader of the wire format sees the same fields', async (t) => {
  const name = 'inference.inference.MsgSubmitPocValidationsV2'
  const fields = wire(encodeMessage(name, messages.MsgSubmitPocValidationsV2 as Record<string, unknown>))
  t.same(
    fields.map(([tag]) => tag),
    [1, 2, 3, 3],
  )
  t.equal(Buffer.from(fields[0]?.[1] as Uint8Array).toString(), coldAddress)
  t.equal(fields[1]?.[1], height)
  const entry = wire(fields[2]?.[1] as Uint8Array)
  t.equal(BigInt.asIntN(64, entry[1]?.[1] as bigint), -1n)
  const big = wire(
    encodeMessage('inference.inference.MsgClaimRewards', {
      creator: 'a',
      seed: 2n ** 62n + 1n,
      epoch_index: 2n ** 63n,
    }),
  )
  t.same(
    big.slice(1).map(([, value]) => value),
    [2n ** 62n + 1n, 2n ** 63n],
  )
})

t.test('the published transaction: body, auth info, sign document, signature, hash', async (t) => {
  const x = v.tx_example
  const exec = execMessage(warmAddress, [packAny('inference.inference.MsgPoCV2StoreCommit', storeCommit)])
  const tx = buildTx({
    messages: [exec],
    fee: { gas: 1_000_000n, gasPrice: 1n, granter: coldAddress },
    publicKey: publicKeyOf(warm),
    chainId: 'gonka-mainnet',
    accountNumber: 7n,
    timeoutSeconds: 1700000060n,
  })
  t.equal(hex(tx.body), x.body_hex)
  t.equal(hex(tx.authInfo), x.auth_info_hex)
  t.equal(hex(tx.signDoc), x.sign_doc_hex)
  const signed = await signTx(tx, (bytes) => sign(bytes, warm))
  t.equal(signed.base64, x.tx_raw_b64)
  t.equal(signed.hash, x.txhash)
  const shown = describeTx(tx)
  t.match(shown, {
    body: {
      unordered: true,
      timeout_timestamp: { seconds: '1700000060' },
      messages: [
        {
          '@type': '/cosmos.authz.v1beta1.MsgExec',
          grantee: warmAddress,
          msgs: [
            { '@type': '/inference.inference.MsgPoCV2StoreCommit', entries: [{ model_id: 'model-a', count: 50000 }] },
          ],
        },
      ],
    },
    auth_info: {
      fee: { amount: [{ denom: 'ngonka', amount: '1000000' }], gas_limit: '1000000', granter: coldAddress },
    },
  })
  t.equal(
    estimateGas([packAny('inference.inference.MsgPoCV2StoreCommit', storeCommit)]),
    50_000n + 600_000n + 150n * 50_000n,
  )
})

t.test('grants name every message once and expire in a year', async (t) => {
  const now = 1_700_000_000n
  const grants = grantMessages(coldAddress, warmAddress, now)
  t.equal(grants.length, 20)
  t.equal(new Set(warmKeyMessages).size, 20)
  const decoded = grants.map((g) => decodeMessage('cosmos.authz.v1beta1.MsgGrant', g.value))
  t.same(
    decoded.map((d) => (d.grant as { authorization: { msg: string } }).authorization.msg),
    warmKeyMessages,
  )
  t.match(decoded[0], {
    granter: coldAddress,
    grantee: warmAddress,
    grant: { expiration: { seconds: `${now + 31536000n}` } },
  })
  t.match(decodeMessage('cosmos.feegrant.v1beta1.MsgGrantAllowance', feeGrantMessage(coldAddress, warmAddress).value), {
    allowance: { spend_limit: [{ denom: 'ngonka', amount: '10000000000' }] },
  })
})

t.test('seed, its commitment and the delay before a claim', async (t) => {
  const by = (bytes: Uint8Array) => sign(bytes, cold)
  const seed = epochSeed(by, 403n)
  t.ok(seed > 0n && seed < 2n ** 63n)
  t.equal(epochSeed(by, 403n), seed)
  t.not(epochSeed(by, 404n), seed)
  t.equal(
    epochSeed(() => new Uint8Array(64), 1n),
    1n,
    'zero becomes one',
  )
  t.ok(verifySignature(unhex(seedSignature(by, seed)), unhex(seed.toString(16).padStart(16, '0')), publicKeyOf(cold)))
  const digest = sha256(new TextEncoder().encode(coldAddress))
  const delay = claimDelayBlocks(digest, 10_000n)
  t.ok(delay >= 1n && delay <= 500n)
  t.equal(claimDelayBlocks(digest, 999n), 0n)
  t.equal(ripemd160(sha256(publicKeyOf(cold))).length, 20)
})
