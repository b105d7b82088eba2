/**
 * Key files: JSON with mode 0600.
 * {"type":"gonka-key","version":1,"private_key":hex,"public_key":hex,"address":bech32,"mnemonic":words?,"path":path?}
 */
import { stat } from 'node:fs/promises'
import { z } from 'zod'
import { GonkaError, messageOf } from '../errors.ts'
import { readJson, writeAtomically } from '../files.ts'
import { addressOf, isPrivateKey, publicKeyOf } from './keys.ts'

const fileMode = 0o600
const sizeLimit = 16 * 1024

const schema = z.strictObject({
  type: z.literal('gonka-key'),
  version: z.literal(1),
  private_key: z.string().regex(/^[0-9a-f]{64}$/),
  public_key: z.string().regex(/^[0-9a-f]{66}$/),
  address: z.string().max(128),
  mnemonic: z.string().max(512).optional(),
  path: z.string().max(128).optional(),
})

export interface Key {
  readonly privateKey: Uint8Array
  /** Compressed, 33 bytes. */
  readonly publicKey: Uint8Array
  readonly address: string
}

export function keyOf(privateKey: Uint8Array): Key {
  if (!isPrivateKey(privateKey)) {
    throw new GonkaError('ERR_GK_KEY', 'the private key is not a number in the range of secp256k1')
  }
  const publicKey = publicKeyOf(privateKey)
  return { privateKey, publicKey, address: addressOf(publicKey) }
}

/** Where a key came from; written to its file so that it can be restored elsewhere. */
export interface KeyOrigin {
  readonly mnemonic: string
  readonly path: string
}

/** Writes a new key file. Throws ERR_GK_FILE_EXISTS unless force. */
export async function writeKeyFile(path: string, key: Key, origin?: KeyOrigin, force = false): Promise<void> {
  const contents = {
    type: 'gonka-key',
    version: 1,
    private_key: Buffer.from(key.privateKey).toString('hex'),
    public_key: Buffer.from(key.publicKey).toString('hex'),
    address: key.address,
    ...origin,
  }
  await writeAtomically(path, `${JSON.stringify(contents, null, 2)}\n`, { mode: fileMode, force })
}

/** Throws ERR_GK_KEY_MODE if anybody but the owner may read or write the file, ERR_GK_FILE if it cannot be found. */
export async function checkKeyFileMode(path: string): Promise<void> {
  const found = await stat(path).catch((error: unknown) => {
    throw new GonkaError('ERR_GK_FILE', `cannot read ${path}: ${messageOf(error)}`, { cause: error })
  })
  if (!found.isFile())
    throw new GonkaError(
      'ERR_GK_FILE',
      `${path} is ${found.isDirectory() ? 'a folder' : 'no file'}, expected a key file`,
    )
  const mode = found.mode & 0o777
  if ((mode & 0o077) !== 0) {
    throw new GonkaError(
      'ERR_GK_KEY_MODE',
      `${path} has mode ${mode.toString(8).padStart(4, '0')}, so others can use the key; run: chmod 600 ${path}`,
    )
  }
}

/** Reads and checks a key file: mode, form, and that public key and address belong to the private key. */
export async function readKeyFile(path: string): Promise<Key> {
  await checkKeyFileMode(path)
  const parsed = schema.safeParse(await readJson(path, sizeLimit))
  if (!parsed.success) {
    // Names of fields only: zod's own messages may quote values.
    const fields = [...new Set(parsed.error.issues.map((issue) => issue.path.join('.') || 'the object'))].join(', ')
    throw new GonkaError(
      'ERR_GK_KEY',
      `${path} is not a key file (wrong: ${fields}); make one with: gonka-miner keys create`,
    )
  }
  const key = keyOf(Buffer.from(parsed.data.private_key, 'hex'))
  if (Buffer.from(key.publicKey).toString('hex') !== parsed.data.public_key || key.address !== parsed.data.address) {
    throw new GonkaError('ERR_GK_KEY', `${path}: public key or address does not belong to the private key`)
  }
  return key
}
