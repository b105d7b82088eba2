import { readFileSync } from 'node:fs'
import t from 'tap'
import {
  addressOf,
  addressPrefixes,
  isPrivateKey,
  isPublicKey,
  privateKeyFromMnemonic,
  publicKeyOf,
  randomMnemonic,
  randomPrivateKey,
  sign,
  verifySignature,
} from '../../lib/chain/keys.ts'

t.setTimeout(0)

interface KeyVector {
  path: string
  priv_hex: string
  pub_hex: string
  pub_b64: string
  address: string
}
interface Signed {
  preimage_hex?: string
  payload_ascii: string
  signature_b64_by_warm: string
}
const vectors = JSON.parse(readFileSync('test/golden/protocol/vectors_keys_sign_tx.json', 'utf8')) as {
  keys: { mnemonic: string; cold: KeyVector; warm: KeyVector; valoper_of_cold: string }
  proof_request: Signed
  proof_request_by_nonce: Signed
  proof_response: Signed
  tx_example: { sign_doc_hex: string; signature_b64: string }
}
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const order = BigInt('0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141')

t.test('mnemonic, derivation and address', async (t) => {
  for (const key of [vectors.keys.cold, vectors.keys.warm]) {
    const privateKey = await privateKeyFromMnemonic(vectors.keys.mnemonic, key.path)
    t.equal(hex(privateKey), key.priv_hex)
    const publicKey = publicKeyOf(privateKey)
    t.equal(hex(publicKey), key.pub_hex)
    t.equal(Buffer.from(publicKey).toString('base64'), key.pub_b64)
    t.equal(addressOf(publicKey), key.address)
  }
  const cold = await privateKeyFromMnemonic(`  ${vectors.keys.mnemonic.replaceAll(' ', '\n ')} `)
  t.equal(hex(cold), vectors.keys.cold.priv_hex, 'the default path, and any white space between words')
  t.equal(addressOf(publicKeyOf(cold), addressPrefixes.operator), vectors.keys.valoper_of_cold)
})

t.test('bad mnemonics and paths are refused without quoting them', async (t) => {
  const wrongChecksum = Array(12).fill('abandon').join(' ')
  const refusal = await privateKeyFromMnemonic(wrongChecksum).catch((error: unknown) => error)
  t.match(refusal, { code: 'ERR_GK_KEY' })
  t.notMatch(String((refusal as Error).message), /abandon/)
  for (const path of ['', 'm', '44/0', 'm/x', 'm/4294967296', "m/44'/2147483648'"]) {
    await t.rejects(privateKeyFromMnemonic(vectors.keys.mnemonic, path), { code: 'ERR_GK_KEY' }, path)
  }
})

t.test('signatures', async (t) => {
  const privateKey = Buffer.from(vectors.keys.warm.priv_hex, 'hex')
  const publicKey = publicKeyOf(privateKey)
  const signed: [Uint8Array, string][] = [
    vectors.proof_request,
    vectors.proof_request_by_nonce,
    vectors.proof_response,
  ].map((vector) => [Buffer.from(vector.payload_ascii), vector.signature_b64_by_warm])
  signed.push([Buffer.from(vectors.tx_example.sign_doc_hex, 'hex'), vectors.tx_example.signature_b64])
  for (const [message, expected] of signed) {
    const signature = sign(message, privateKey)
    t.equal(Buffer.from(signature).toString('base64'), expected)
    t.ok(verifySignature(signature, message, publicKey))
    t.notOk(verifySignature(signature, Buffer.concat([message, Buffer.of(0)]), publicKey), 'another message')
    t.notOk(
      verifySignature(signature, message, publicKeyOf(Buffer.from(vectors.keys.cold.priv_hex, 'hex'))),
      'another key',
    )
    t.notOk(verifySignature(signature.subarray(0, 63), message, publicKey), 'short')
    t.notOk(verifySignature(signature, message, publicKey.subarray(1)), 'not a key')
    t.notOk(verifySignature(new Uint8Array(64), message, publicKey), 'zeros')
    const highS = Buffer.from(signature)
    const s = order - BigInt(`0x${hex(signature.subarray(32))}`)
    Buffer.from(s.toString(16).padStart(64, '0'), 'hex').copy(highS, 32)
    t.notOk(verifySignature(highS, message, publicKey), 'the other, high s')
    for (let bit = 0; bit < 512; bit += 37) {
      const flipped = Buffer.from(signature)
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7))
      t.notOk(verifySignature(flipped, message, publicKey), `bit ${bit} of the signature flipped`)
    }
  }
})

t.test('fresh keys', async (t) => {
  const [a, b] = [randomPrivateKey(), randomPrivateKey()]
  t.ok(isPrivateKey(a) && isPrivateKey(b))
  t.not(hex(a), hex(b))
  t.ok(isPublicKey(publicKeyOf(a)))
  t.notOk(isPrivateKey(new Uint8Array(32)))
  t.notOk(isPrivateKey(Buffer.from(order.toString(16), 'hex')))
  t.notOk(isPublicKey(new Uint8Array(33)))
  const mnemonic = await randomMnemonic()
  t.equal(mnemonic.split(' ').length, 24)
  t.ok(isPrivateKey(await privateKeyFromMnemonic(mnemonic)))
})
