/**
 * keyring create | import | list | export | remove: several keys in one file, each encrypted with a passphrase.
 *
 * The passphrase comes from the environment (GONKA_MINER_PASSPHRASE) or from the first line of standard input; it is never
 * an argument, where every user of the machine could read it.
 * JSON: list {"keys": [{"name", "address", "public_key"}]}; create, import, export {"name", "address", "public_key"}.
 */
import { keyOf, writeKeyFile } from '../chain/key-file.ts'
import { addToKeyring, openFromKeyring, readKeyring, writeKeyring } from '../chain/keyring.ts'
import { defaultPath, privateKeyFromMnemonic, randomMnemonic } from '../chain/keys.ts'
import { exitCodes, GonkaError } from '../errors.ts'
import { writeAtomically } from '../files.ts'
import { type Io, writeJson } from '../io.ts'
import { type Define, jsonOption } from './command.ts'

interface Options {
  readonly file: string
  readonly name: string
  readonly path: string
  readonly mnemonicFile?: string
  readonly key: string
  readonly json?: boolean
}

const fileOption = ['--file <file>', 'the keyring file'] as const
const nameOption = ['--name <name>', 'name of the key'] as const

export const define: Define = (command, run) => {
  command
    .command('create')
    .description('make a key; its mnemonic goes to a file of its own, to be stored away')
    .requiredOption(...fileOption)
    .requiredOption(...nameOption)
    .requiredOption('--mnemonic-file <file>', 'where the 24 words are written, mode 0600')
    .option('--path <path>', 'derivation path', defaultPath)
    .option(...jsonOption)
    .action(run(create))
  command
    .command('import')
    .description('take a mnemonic or 64 hex digits from standard input (behind the passphrase line, if that is there)')
    .requiredOption(...fileOption)
    .requiredOption(...nameOption)
    .option('--path <path>', 'derivation path', defaultPath)
    .option(...jsonOption)
    .action(run(importKey))
  command
    .command('list')
    .description('names and addresses; needs no passphrase')
    .requiredOption(...fileOption)
    .option(...jsonOption)
    .action(run(list))
  command
    .command('export')
    .description('decrypt one key into a key file, mode 0600')
    .requiredOption(...fileOption)
    .requiredOption(...nameOption)
    .requiredOption('--key <file>', 'the key file to write')
    .option(...jsonOption)
    .action(run(exportKey))
  command
    .command('remove')
    .description('delete a key from the keyring')
    .requiredOption(...fileOption)
    .requiredOption(...nameOption)
    .action(run(remove))
}

/** Lines of standard input are read once; the first is the passphrase unless the environment has it. */
export async function passphraseOf(io: Io, lines?: string[]): Promise<string> {
  const fromEnv = io.env.GONKA_MINER_PASSPHRASE
  if (fromEnv !== undefined && fromEnv !== '') return fromEnv
  const given = lines ?? (await io.readInput()).split('\n')
  const first = given.shift()?.replace(/\r$/, '')
  if (first === undefined || first === '') {
    throw new GonkaError(
      'ERR_GK_USAGE',
      'no passphrase: set GONKA_MINER_PASSPHRASE or write it as a line to standard input',
    )
  }
  return first
}

function print(io: Io, options: Options, entry: { name: string; address: string; public_key: string }): number {
  if (options.json) writeJson(io, entry)
  else io.out.write(`${entry.name} ${entry.address}\n`)
  return exitCodes.ok
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

async function create(io: Io, options: Options): Promise<number> {
  const passphrase = await passphraseOf(io)
  const mnemonic = await randomMnemonic()
  const key = keyOf(await privateKeyFromMnemonic(mnemonic, options.path))
  const ring = await addToKeyring(await readKeyring(options.file, true), options.name, key, passphrase)
  // The words first: a key whose words could not be written must not be used.
  await writeAtomically(options.mnemonicFile as string, `${mnemonic}\n`, { mode: 0o600 })
  await writeKeyring(options.file, ring)
  return print(io, options, { name: options.name, address: key.address, public_key: hex(key.publicKey) })
}

async function importKey(io: Io, options: Options): Promise<number> {
  const lines = (await io.readInput()).split('\n')
  const passphrase = await passphraseOf(io, lines)
  const text = lines.join(' ').trim()
  const privateKey = /^[0-9a-fA-F]{64}$/.test(text)
    ? Uint8Array.from(Buffer.from(text, 'hex'))
    : await privateKeyFromMnemonic(text, options.path)
  const key = keyOf(privateKey)
  await writeKeyring(
    options.file,
    await addToKeyring(await readKeyring(options.file, true), options.name, key, passphrase),
  )
  return print(io, options, { name: options.name, address: key.address, public_key: hex(key.publicKey) })
}

async function list(io: Io, options: Options): Promise<number> {
  const { keys } = await readKeyring(options.file)
  const entries = Object.entries(keys).map(([name, { address, public_key }]) => ({ name, address, public_key }))
  if (options.json) writeJson(io, { keys: entries })
  else for (const entry of entries) io.out.write(`${entry.name} ${entry.address}\n`)
  return exitCodes.ok
}

async function exportKey(io: Io, options: Options): Promise<number> {
  const key = await openFromKeyring(await readKeyring(options.file), options.name, await passphraseOf(io))
  await writeKeyFile(options.key, key)
  return print(io, options, { name: options.name, address: key.address, public_key: hex(key.publicKey) })
}

async function remove(io: Io, options: Options): Promise<number> {
  const ring = await readKeyring(options.file)
  if (!Object.hasOwn(ring.keys, options.name)) {
    throw new GonkaError('ERR_GK_KEY', `the keyring has no key named ${JSON.stringify(options.name)}`)
  }
  const { [options.name]: _, ...keys } = ring.keys
  await writeKeyring(options.file, { ...ring, keys })
  io.out.write(`removed ${options.name}\n`)
  return exitCodes.ok
}
