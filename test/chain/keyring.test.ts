import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { keyOf } from '../../lib/chain/key-file.ts'
import { addToKeyring, emptyKeyring, openFromKeyring, readKeyring, writeKeyring } from '../../lib/chain/keyring.ts'
import { randomPrivateKey } from '../../lib/chain/keys.ts'

const cost = 2 ** 12

t.test('a key survives encryption, a wrong passphrase or an altered entry does not open it', async (t) => {
  const key = keyOf(randomPrivateKey())
  const ring = await addToKeyring(emptyKeyring, 'warm', key, 'correct horse', cost)
  t.same(await openFromKeyring(ring, 'warm', 'correct horse'), key)
  await t.rejects(openFromKeyring(ring, 'warm', 'correct hors'), { code: 'ERR_GK_KEY', message: /passphrase/ })
  await t.rejects(openFromKeyring(ring, 'cold', 'correct horse'), { message: /holds: warm/ })
  await t.rejects(openFromKeyring(ring, '__proto__', 'correct horse'), { message: /no key/ })
  const entry = ring.keys.warm
  if (entry === undefined) throw new Error('no entry')
  const renamed = { ...ring, keys: { cold: entry } }
  await t.rejects(
    openFromKeyring(renamed, 'cold', 'correct horse'),
    { message: /altered/ },
    'the name is authenticated',
  )
  const flipped = `${entry.cipher.text[0] === '0' ? '1' : '0'}${entry.cipher.text.slice(1)}`
  const altered = { ...ring, keys: { warm: { ...entry, cipher: { ...entry.cipher, text: flipped } } } }
  await t.rejects(openFromKeyring(altered, 'warm', 'correct horse'), { message: /altered/ })
  const secret = Buffer.from(key.privateKey).toString('hex')
  t.notMatch(JSON.stringify(ring), secret)
  await t.rejects(addToKeyring(ring, 'warm', key, 'correct horse', cost), { message: /already/ })
  await t.rejects(addToKeyring(ring, '../x', key, 'correct horse', cost), { message: /name/ })
  await t.rejects(addToKeyring(ring, 'b', key, 'short', cost), { message: /8 characters/ })
})

t.test('keyring files: mode, shape, several keys, random salts', async (t) => {
  const path = join(t.testdir({}), 'keys.json')
  t.same(await readKeyring(path, true), emptyKeyring)
  await t.rejects(readKeyring(path), { code: 'ERR_GK_FILE' })
  const a = keyOf(randomPrivateKey())
  const b = keyOf(randomPrivateKey())
  let ring = await addToKeyring(emptyKeyring, 'a', a, 'passphrase 1', cost)
  ring = await addToKeyring(ring, 'b', b, 'passphrase 2', cost)
  await writeKeyring(path, ring)
  const back = await readKeyring(path)
  t.same(await openFromKeyring(back, 'b', 'passphrase 2'), b)
  t.not(back.keys.a?.kdf.salt, back.keys.b?.kdf.salt)
  await chmod(path, 0o644)
  await t.rejects(readKeyring(path), { code: 'ERR_GK_KEY_MODE' })
  await chmod(path, 0o600)
  const huge = (await readFile(path, 'utf8')).replace(`"n": ${cost}`, '"n": 1073741824')
  await writeFile(path, huge)
  await t.rejects(readKeyring(path), { code: 'ERR_GK_KEY', message: /kdf/ }, 'a file cannot demand absurd memory')
})
