import { existsSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { makeFolder, readBytes, readJson, writeAtomically } from '../../lib/files.ts'

t.setTimeout(0)

t.test('writing', async (t) => {
  const folder = t.testdir({ victim: 'untouched' })
  const path = join(folder, 'out')
  await writeAtomically(path, 'one', { mode: 0o600 })
  t.equal(readFileSync(path, 'utf8'), 'one')
  t.equal(statSync(path).mode & 0o777, 0o600)
  await t.rejects(writeAtomically(path, 'two'), { code: 'ERR_GK_FILE_EXISTS', message: /--force/ })
  t.equal(readFileSync(path, 'utf8'), 'one')
  await writeAtomically(path, Uint8Array.of(50), { force: true })
  t.equal(readFileSync(path, 'utf8'), '2')

  symlinkSync(join(folder, 'victim'), join(folder, 'link'))
  await t.rejects(writeAtomically(join(folder, 'link'), 'x'), { code: 'ERR_GK_FILE_EXISTS' })
  await writeAtomically(join(folder, 'link'), 'x', { force: true })
  t.equal(readFileSync(join(folder, 'victim'), 'utf8'), 'untouched', 'a link is replaced, not followed')

  await t.rejects(writeAtomically('/dev/null', 'x', { force: true }), { code: 'ERR_GK_FILE', message: /regular file/ })
  await t.rejects(writeAtomically(folder, 'x', { force: true }), { code: 'ERR_GK_FILE', message: /regular file/ })

  const racers = await Promise.allSettled(
    Array.from({ length: 8 }, (_, i) => writeAtomically(join(folder, 'race'), `${i}`)),
  )
  t.equal(racers.filter(({ status }) => status === 'fulfilled').length, 1, 'one of several writers wins')
  await t.rejects(writeAtomically(join(folder, 'none', 'x'), 'x'), { code: 'ERR_GK_FILE' })
  t.same(
    readdirSync(folder).filter((name) => name.endsWith('.tmp')),
    [],
    'nothing temporary is left',
  )
})

t.test('reading', async (t) => {
  const folder = t.testdir({ text: '{"a":1}', bad: '{"secret":', inner: {} })
  writeFileSync(join(folder, 'latin1'), Uint8Array.of(0x22, 0xe9, 0x22))
  t.same(await readBytes(join(folder, 'text'), 7), new TextEncoder().encode('{"a":1}'))
  await t.rejects(readBytes(join(folder, 'text'), 6), { code: 'ERR_GK_FILE', message: /has 7 bytes; at most 6/ })
  await t.rejects(readBytes(join(folder, 'inner'), 6), { code: 'ERR_GK_FILE', message: /not a regular file/ })
  await t.rejects(readBytes('/dev/zero', 6), { code: 'ERR_GK_FILE', message: /not a regular file/ })
  await t.rejects(readBytes(join(folder, 'none'), 6), { code: 'ERR_GK_FILE', message: /cannot read/ })
  t.same(await readJson(join(folder, 'text'), 100), { a: 1 })
  for (const name of ['bad', 'latin1']) {
    const refusal = await readJson(join(folder, name), 100).catch((error: unknown) => error)
    t.match(refusal, { code: 'ERR_GK_FILE', message: /is not JSON in UTF-8/ })
    t.notMatch(String(refusal), 'secret')
  }
  t.notOk(existsSync(join(folder, 'none')))
})

t.test('folders', async (t) => {
  const folder = t.testdir({ file: 'a file' })
  await makeFolder(join(folder, 'a', 'b', 'c'))
  await makeFolder(join(folder, 'a', 'b', 'c'))
  t.ok(statSync(join(folder, 'a', 'b', 'c')).isDirectory())
  for (const path of [join(folder, 'file'), join(folder, 'file', 'x'), '/proc/gonka/x', '/dev/null/x']) {
    await t.rejects(makeFolder(path), { code: 'ERR_GK_FILE', message: new RegExp(`cannot make ${path}: `) })
  }
})
