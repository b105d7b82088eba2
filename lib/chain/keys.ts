/**
 * Keys of the Gonka chain: secp256k1, BIP-39 mnemonics, BIP-32 derivation, bech32 addresses, signatures.
 * A private key is 32 bytes; it never appears in an error or a log.
 */
import { createHash } from 'node:crypto'
import { secp256k1 } from '@noble/curves/secp256k1.js'
import { ripemd160 } from '@noble/hashes/legacy.js'
import { bech32 } from '@scure/base'
import { GonkaError } from '../errors.ts'

/** Derivation path of the cold (owner) key; 1200 is the coin type. Further accounts count the last step up. */
export const defaultPath = "m/44'/1200'/0'/0/0"

/** Human-readable parts of the chain's addresses. */
export const addressPrefixes = { account: 'gonka', operator: 'gonkavaloper' } as const

export function isPrivateKey(privateKey: Uint8Array): boolean {
  return privateKey.length === 32 && secp256k1.utils.isValidSecretKey(privateKey)
}

/** A fresh private key from the operating system's random source. */
export function randomPrivateKey(): Uint8Array {
  return secp256k1.utils.randomSecretKey()
}

/** A fresh mnemonic of 24 English words (256 bits). */
export async function randomMnemonic(): Promise<string> {
  const [{ generateMnemonic }, { wordlist }] = await Promise.all([
    import('@scure/bip39'),
    import('@scure/bip39/wordlists/english.js'),
  ])
  return generateMnemonic(wordlist, 256)
}

/** BIP-39 (English, no passphrase) and BIP-32 along path. Throws ERR_GK_KEY for a bad mnemonic or path. */
export async function privateKeyFromMnemonic(mnemonic: string, path: string = defaultPath): Promise<Uint8Array> {
  const [{ mnemonicToSeed, validateMnemonic }, { wordlist }, { HDKey }] = await Promise.all([
    import('@scure/bip39'),
    import('@scure/bip39/wordlists/english.js'),
    import('@scure/bip32'),
  ])
  const words = mnemonic.trim().split(/\s+/).join(' ')
  if (!validateMnemonic(words, wordlist)) {
    throw new GonkaError('ERR_GK_KEY', 'the mnemonic is not 12 to 24 English BIP-39 words with a correct checksum')
  }
  if (!/^m(\/\d{1,10}'?){1,10}$/.test(path)) {
    throw new GonkaError('ERR_GK_KEY', `derivation path ${JSON.stringify(path)} is not of the form ${defaultPath}`)
  }
  const seed = await mnemonicToSeed(words)
  let derived: Uint8Array | null
  try {
    derived = HDKey.fromMasterSeed(seed).derive(path).privateKey
  } catch {
    throw new GonkaError('ERR_GK_KEY', `derivation path ${path} has a step of 2^31 or more`)
  } finally {
    seed.fill(0)
  }
  if (!derived) throw new GonkaError('ERR_GK_KEY', `derivation path ${path} gives no key; use another`)
  return derived
}

/** Compressed, 33 bytes. */
export function publicKeyOf(privateKey: Uint8Array): Uint8Array {
  return secp256k1.getPublicKey(privateKey, true)
}

/** True for 33 bytes that are a compressed point of the curve. */
export function isPublicKey(publicKey: Uint8Array): boolean {
  return publicKey.length === 33 && secp256k1.utils.isValidPublicKey(publicKey, true)
}

/** bech32 of RIPEMD160(SHA256(compressed public key)). */
export function addressOf(publicKey: Uint8Array, prefix: string = addressPrefixes.account): string {
  return bech32.encode(prefix, bech32.toWords(ripemd160(createHash('sha256').update(publicKey).digest())))
}

/** 64 bytes r || s over SHA-256 of message: deterministic (RFC 6979), low s. */
export function sign(message: Uint8Array, privateKey: Uint8Array): Uint8Array {
  return secp256k1.sign(message, privateKey, { prehash: true, lowS: true, format: 'compact', extraEntropy: false })
}

/** False for anything that is not a 64-byte low-s signature of message by publicKey; never throws. */
export function verifySignature(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean {
  if (signature.length !== 64 || !isPublicKey(publicKey)) return false
  try {
    return secp256k1.verify(signature, message, publicKey, { prehash: true, lowS: true, format: 'compact' })
  } catch {
    return false
  }
}
