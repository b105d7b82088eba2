/**
 * keys create | import | show: key files of the Gonka chain.
 *
 * JSON, the same for all three: {"file", "address", "operator_address", "public_key" (hex, compressed),
 * "public_key_base64"}. The private key and the mnemonic stand in the key file and are never printed.
 */
import type { Key } from '../chain/key-file.ts'
import { exitCodes, GonkaError } from '../errors.ts'
import { type Io, writeJson } from '../io.ts'
import { type Define, jsonOption } from './command.ts'

interface Options {
  readonly key: string
  readonly json?: boolean
  readonly force?: boolean
  readonly path: string
}

const keyOption = ['--key <file>', 'the key file'] as const
const pathOption = ['--path <path>', 'derivation path', "m/44'/1200'/0'/0/0"] as const

export const define: Define = (command, run) => {
  command
    .command('create')
    .description('make a key; its mnemonic is stored in the key file, mode 0600')
    .requiredOption(...keyOption)
    .option(...pathOption)
    .option('--force', 'replace an existing file')
    .option(...jsonOption)
    .action(run(create))
  command
    .command('import')
    .description('read a mnemonic, or a private key of 64 hex digits, from standard input')
    .requiredOption(...keyOption)
    .option(...pathOption)
    .option('--force', 'replace an existing file')
    .option(...jsonOption)
    .action(run(importKey))
  command
    .command('show')
    .description('print address and public key')
    .requiredOption(...keyOption)
    .option(...jsonOption)
    .action(run(show))
}

async function create(io: Io, options: Options): Promise<number> {
  const [{ keyOf, writeKeyFile }, { privateKeyFromMnemonic, randomMnemonic }] = await Promise.all([
    import('../chain/key-file.ts'),
    import('../chain/keys.ts'),
  ])
  const mnemonic = await randomMnemonic()
  const key = keyOf(await privateKeyFromMnemonic(mnemonic, options.path))
  await writeKeyFile(options.key, key, { mnemonic, path: options.path }, options.force)
  io.err.write(
    `${options.key} holds the key and its mnemonic. Whoever has the file has the account: keep a copy offline.\n`,
  )
  return print(io, options, key)
}

async function importKey(io: Io, options: Options): Promise<number> {
  const [{ keyOf, writeKeyFile }, { privateKeyFromMnemonic }] = await Promise.all([
    import('../chain/key-file.ts'),
    import('../chain/keys.ts'),
  ])
  const secret = (await io.readInput()).trim()
  if (secret === '') {
    throw new GonkaError(
      'ERR_GK_KEY',
      'standard input is empty; run: gonka-miner keys import --key FILE < mnemonic.txt',
    )
  }
  let key: Key
  if (/^(0x)?[0-9a-fA-F]{64}$/.test(secret)) {
    key = keyOf(Buffer.from(secret.slice(-64), 'hex'))
    await writeKeyFile(options.key, key, undefined, options.force)
  } else {
    const mnemonic = secret.split(/\s+/).join(' ')
    key = keyOf(await privateKeyFromMnemonic(mnemonic, options.path))
    await writeKeyFile(options.key, key, { mnemonic, path: options.path }, options.force)
  }
  return print(io, options, key)
}

async function show(io: Io, options: Options): Promise<number> {
  const { readKeyFile } = await import('../chain/key-file.ts')
  return print(io, options, await readKeyFile(options.key))
}

async function print(io: Io, options: Options, key: Key): Promise<number> {
  const { addressOf, addressPrefixes } = await import('../chain/keys.ts')
  const bytes = Buffer.from(key.publicKey)
  const described = {
    file: options.key,
    address: key.address,
    operator_address: addressOf(key.publicKey, addressPrefixes.operator),
    public_key: bytes.toString('hex'),
    public_key_base64: bytes.toString('base64'),
  }
  if (options.json) writeJson(io, described)
  else io.out.write(`address     ${described.address}\npublic key  ${described.public_key}\n`)
  return exitCodes.ok
}
