/**
 * Keyring: several keys in one file, each encrypted with a passphrase.
 * scrypt (N 2^17, r 8, p 1) makes the key, XChaCha20-Poly1305 encrypts the private key; name and public key are
 * authenticated with it, so entries cannot be swapped. Public keys and addresses are readable without the passphrase.
 */
import { randomBytes, scrypt } from 'node:crypto'
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import { z } from 'zod'
import { GonkaError, isGonkaError } from '../errors.ts'
import { readJson, writeAtomically } from '../files.ts'
import { checkKeyFileMode, type Key, keyOf } from './key-file.ts'
import { addressOf } from './keys.ts'

const sizeLimit = 1024 * 1024
const scryptCost = 2 ** 17
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${2 * bytes}}$`))
const entrySchema = z.strictObject({
  public_key: hex(33),
  address: z.string().max(128),
  // Fixed costs are written down so that a later version can raise them; a file cannot demand absurd memory.
  kdf: z.strictObject({
    name: z.literal('scrypt'),
    n: z
      .number()
      .int()
      .min(2 ** 10)
      .max(2 ** 20),
    r: z.literal(8),
    p: z.literal(1),
    salt: hex(16),
  }),
  cipher: z.strictObject({ name: z.literal('xchacha20-poly1305'), nonce: hex(24), text: hex(48) }),
})
const schema = z.strictObject({
  type: z.literal('gonka-keyring'),
  version: z.literal(1),
  keys: z.record(z.string().regex(namePattern), entrySchema),
})

type Entry = z.infer<typeof entrySchema>
export type Keyring = z.infer<typeof schema>

export const emptyKeyring: Keyring = { type: 'gonka-keyring', version: 1, keys: {} }

const fromHex = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'))
const toHex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

async function stretch(passphrase: string, salt: Uint8Array, n: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    // Twice what scrypt needs (128 * n * r bytes): Node refuses at the exact size.
    scrypt(passphrase.normalize('NFKC'), salt, 32, { N: n, r: 8, p: 1, maxmem: 2 * 128 * n * 8 }, (error, key) =>
      error ? reject(error) : resolve(key),
    )
  })
}

function associated(name: string, publicKeyHex: string): Uint8Array {
  return new TextEncoder().encode(`gonka-keyring/1 ${name} ${publicKeyHex}`)
}

/** Adds a key; throws ERR_GK_KEY for a bad name, a name in use or a passphrase under 8 characters. */
export async function addToKeyring(
  ring: Keyring,
  name: string,
  key: Key,
  passphrase: string,
  cost: number = scryptCost,
): Promise<Keyring> {
  if (!namePattern.test(name)) {
    throw new GonkaError('ERR_GK_KEY', `key name ${JSON.stringify(name)}: use 1 to 64 letters, digits, dots, dashes`)
  }
  if (Object.hasOwn(ring.keys, name)) throw new GonkaError('ERR_GK_KEY', `the keyring already has a key named ${name}`)
  if (passphrase.length < 8) throw new GonkaError('ERR_GK_KEY', 'the passphrase needs at least 8 characters')
  const salt = randomBytes(16)
  const nonce = randomBytes(24)
  const publicKey = toHex(key.publicKey)
  const secret = await stretch(passphrase, salt, cost)
  const text = xchacha20poly1305(secret, nonce, associated(name, publicKey)).encrypt(key.privateKey)
  secret.fill(0)
  const entry: Entry = {
    public_key: publicKey,
    address: key.address,
    kdf: { name: 'scrypt', n: cost, r: 8, p: 1, salt: toHex(salt) },
    cipher: { name: 'xchacha20-poly1305', nonce: toHex(nonce), text: toHex(text) },
  }
  return { ...ring, keys: { ...ring.keys, [name]: entry } }
}

/** Decrypts a key; throws ERR_GK_KEY if the name is unknown, the passphrase wrong or the entry altered. */
export async function openFromKeyring(ring: Keyring, name: string, passphrase: string): Promise<Key> {
  const entry = Object.hasOwn(ring.keys, name) ? ring.keys[name] : undefined
  if (entry === undefined) {
    const known = Object.keys(ring.keys).join(', ') || 'none'
    throw new GonkaError('ERR_GK_KEY', `the keyring has no key named ${JSON.stringify(name)}; it holds: ${known}`)
  }
  const secret = await stretch(passphrase, fromHex(entry.kdf.salt), entry.kdf.n)
  let privateKey: Uint8Array
  try {
    const cipher = xchacha20poly1305(secret, fromHex(entry.cipher.nonce), associated(name, entry.public_key))
    privateKey = cipher.decrypt(fromHex(entry.cipher.text))
  } catch {
    throw new GonkaError('ERR_GK_KEY', `wrong passphrase for key ${name}, or its entry was altered`)
  } finally {
    secret.fill(0)
  }
  const key = keyOf(privateKey)
  if (toHex(key.publicKey) !== entry.public_key || addressOf(key.publicKey) !== entry.address) {
    throw new GonkaError('ERR_GK_KEY', `key ${name}: public key or address does not belong to the private key`)
  }
  return key
}

/** Reads a keyring file (mode 0600 demanded). A missing file is an empty keyring only if `create`. */
export async function readKeyring(path: string, create = false): Promise<Keyring> {
  try {
    await checkKeyFileMode(path)
  } catch (error) {
    if (create && isGonkaError(error, 'ERR_GK_FILE')) return emptyKeyring
    throw error
  }
  const parsed = schema.safeParse(await readJson(path, sizeLimit))
  if (!parsed.success) {
    const fields = [...new Set(parsed.error.issues.map((issue) => issue.path.join('.') || 'the object'))].join(', ')
    throw new GonkaError('ERR_GK_KEY', `${path} is not a keyring file (wrong: ${fields})`)
  }
  return parsed.data
}

export async function writeKeyring(path: string, ring: Keyring): Promise<void> {
  await writeAtomically(path, `${JSON.stringify(ring, null, 2)}\n`, { mode: 0o600, force: true })
}
