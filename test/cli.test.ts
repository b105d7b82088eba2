import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { main } from '../lib/cli.ts'
import { errorCodes, exitCodeOf, GonkaError, statusCodes } from '../lib/errors.ts'
import { packageVersion } from '../lib/package-info.ts'
import { testIo } from './io.ts'

t.setTimeout(0)

const run = async (argv: string[], input = '') => {
  const io = testIo({ input })
  return { code: await main(argv, io), out: io.outText(), err: io.errText() }
}

t.test('version and help', async (t) => {
  const expected = (JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }).version
  t.equal(packageVersion(), expected)
  t.same(await run(['--version']), { code: 0, out: `${expected}\n`, err: '' })
  const help = await run(['--help'])
  t.equal(help.code, 0)
  t.match(help.out, /keys .*create, import or show/)
  t.match(help.out, /Examples:\n {2}gonka-miner /)
  const unknown = await run(['help', 'nosuch'])
  t.equal(unknown.code, 2)
  t.match(unknown.err, /unknown command 'nosuch'/)
  t.equal(unknown.out, '')
  const viaHelp = await run(['help', 'keys'])
  t.equal(viaHelp.code, 0)
  t.match(viaHelp.out, /create.*make a key/)
})

t.test('misuse exits with 2 and a suggestion', async (t) => {
  const cases: [string[], RegExp][] = [
    [['key'], /unknown command 'key'\n\(Did you mean keys\?\)/],
    [['keys', 'sho'], /unknown command 'sho'\n\(Did you mean show\?\)/],
    [['keys', 'show', '--key', 'x', '--jsn'], /unknown option '--jsn'\n\(Did you mean --json\?\)/],
    [['keys', 'show'], /required option '--key <file>'/],
    [['keys', 'show', '--key'], /argument missing/],
    [['keys', 'show', '--key', '/nonexistent/key'], /^ERR_GK_FILE: cannot read/],
    [[], /Usage: gonka-miner/],
  ]
  for (const [argv, message] of cases) {
    const { code, err, out } = await run(argv)
    t.equal(code, 2, argv.join(' '))
    t.match(err, message)
    t.equal(out, '')
  }
})

t.test('status codes are those of the C boundary', async (t) => {
  const header = readFileSync('native/include/gonka_backend.h', 'utf8')
  const body = /typedef enum gk_status \{([^}]*)\}/.exec(header)?.[1] ?? ''
  const inC = Object.fromEntries(
    [...body.matchAll(/GK_(\w+) = (\d+)\b/g)]
      .filter(([, name]) => name !== 'OK')
      .map(([, name, value]) => [`ERR_GK_${name}`, Number(value)]),
  )
  t.same(inC, statusCodes)
  t.equal(new Set(errorCodes).size, errorCodes.length)
  t.equal(exitCodeOf(new GonkaError('ERR_GK_CANCELLED', '')), 130)
  t.equal(exitCodeOf(new GonkaError('ERR_GK_DEVICE_LOST', '')), 1)
  t.equal(exitCodeOf(new GonkaError('ERR_GK_USAGE', '')), 2)
  t.equal(exitCodeOf(new Error('bug')), 1)
})

const mnemonic = `${'abandon '.repeat(11)}about`
const privateHex = '9e8ba689e9ced5459627b3689c88fd7c9ad4766eaf71abb0e8b57a83c0bcb74c'
const address = 'gonka1k4swv40ur28fvu54p8mskjj4lxkgsj07u9f8ny'

t.test('keys', async (t) => {
  const folder = t.testdir({})
  const file = (name: string) => join(folder, name)

  const created = await run(['keys', 'create', '--key', file('new'), '--json'])
  t.equal(created.code, 0)
  const shown = await run(['keys', 'show', '--key', file('new'), '--json'])
  t.same(JSON.parse(shown.out), JSON.parse(created.out))
  t.equal(statSync(file('new')).mode & 0o777, 0o600)
  const stored = JSON.parse(readFileSync(file('new'), 'utf8')) as { private_key: string; mnemonic: string }
  for (const text of [created.out, created.err, shown.out, shown.err]) {
    t.notMatch(text, stored.private_key)
    t.notMatch(text, stored.mnemonic)
  }

  const again = await run(['keys', 'create', '--key', file('new')])
  t.equal(again.code, 2)
  t.match(again.err, /ERR_GK_FILE_EXISTS.*--force/)
  t.match(JSON.parse(readFileSync(file('new'), 'utf8')), stored, 'the old key is still there')
  t.equal((await run(['keys', 'create', '--key', file('new'), '--force'])).code, 0)
  t.notMatch(JSON.parse(readFileSync(file('new'), 'utf8')), stored)

  t.match(await run(['keys', 'import', '--key', file('words')], `${mnemonic}\n`), { code: 0, out: address })
  t.match(await run(['keys', 'import', '--key', file('hex')], `0x${privateHex}\n`), { code: 0, out: address })
  t.match(await run(['keys', 'import', '--key', file('none')], ''), { code: 2, err: /standard input is empty/ })
  const refused = await run(['keys', 'import', '--key', file('none')], mnemonic.replace('about', 'abandon'))
  t.match(refused, { code: 2, err: /^ERR_GK_KEY: / })
  t.notMatch(refused.err, 'abandon', 'a refused mnemonic is not quoted')
  t.notOk(existsSync(file('none')))

  for (const mode of [0o644, 0o640, 0o604, 0o620]) {
    chmodSync(file('words'), mode)
    t.match(await run(['keys', 'show', '--key', file('words')]), { code: 2, err: /ERR_GK_KEY_MODE.*chmod 600/ })
  }
  t.match(await run(['keys', 'show', '--key', folder]), { code: 2, err: /is a folder, expected a key file/ })
  chmodSync(file('words'), 0o400)
  t.match(await run(['keys', 'show', '--key', file('words')]), { code: 0, out: address }, 'stricter is fine')
})

t.test('damaged key files are refused without quoting them', async (t) => {
  const good = {
    type: 'gonka-key',
    version: 1,
    private_key: privateHex,
    public_key: '024daacc24ae6754dd460961ea4c6aa114e717e036b7dff3853195483b8d692dd2',
    address,
  }
  const damaged: Record<string, unknown> = {
    text: 'not json',
    version: { ...good, version: 2 },
    unknown: { ...good, extra: privateHex },
    short: { ...good, private_key: privateHex.slice(1) },
    zero: { ...good, private_key: '0'.repeat(64) },
    swapped: { ...good, private_key: privateHex.replace('9e', '9f') },
    address: { ...good, address: 'gonka1c73uxrxztjtcjptrj54ryyw7fw55htw73r3m2a' },
    array: [],
  }
  const folder = t.testdir({ good: JSON.stringify(good) })
  chmodSync(join(folder, 'good'), 0o600)
  t.match(await run(['keys', 'show', '--key', join(folder, 'good')]), { code: 0, out: address })
  for (const [name, contents] of Object.entries(damaged)) {
    const path = join(t.testdir({ key: JSON.stringify(contents) }), 'key')
    chmodSync(path, 0o600)
    const { code, err } = await run(['keys', 'show', '--key', path])
    t.equal(code, 2, name)
    t.match(err, /^ERR_GK_(KEY|FILE): /)
    t.notMatch(err, privateHex.slice(8, 60))
  }
})

t.test('completion scripts', async (t) => {
  const bash = await run(['completion', 'bash'])
  t.equal(spawnSync('bash', ['-n'], { input: bash.out }).status, 0, 'bash accepts its syntax')
  const complete = (...words: string[]) =>
    spawnSync(
      'bash',
      [
        '-c',
        `${bash.out}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _gonka_miner; printf '%s\\n' "\${COMPREPLY[@]}"`,
        'bash',
        'gonka-miner',
        ...words,
      ],
      { encoding: 'utf8' },
    ).stdout.trim()
  t.equal(complete('dem'), 'demo')
  t.equal(complete('keys', 'c'), 'create')
  t.equal(complete('keys', 'show', '--k'), '--key')
  t.match((await run(['completion', 'zsh'])).out, /'create:make a key/)
  t.match((await run(['completion', 'fish'])).out, /-l key -r/)
})

t.test('the program', async (t) => {
  const program = (argv: string[]) => spawnSync(process.execPath, ['bin/gonka-miner.js', ...argv], { encoding: 'utf8' })
  t.match(program(['--version']), { status: 0, stdout: `${packageVersion()}\n` })
  t.match(program(['nothing']), { status: 2, stdout: '' })
  const closed = spawnSync(
    'bash',
    ['-c', `"${process.execPath}" bin/gonka-miner.js completion zsh | true; echo \${PIPESTATUS[0]}`],
    {
      encoding: 'utf8',
    },
  )
  t.match(closed.stdout.trim(), /^(0|141)$/, 'a reader that went away is no crash')
  t.equal(closed.stderr, '')
})
