/** A stranger's certificate from start to end: serve, prove, certify, kill -9, verify offline; all on loopback. */
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { keyOf, writeKeyFile } from '../../lib/chain/key-file.ts'
import { main } from '../../lib/cli.ts'
import { openCertificate, signCertificate } from '../../lib/proof/certificate.ts'
import { testIo } from '../io.ts'
import { otherPrivateKey, privateKey } from '../proof/samples.ts'

t.setTimeout(0)
const folder = t.testdir({})
const file = (name: string) => join(folder, name)
const issuer = keyOf(otherPrivateKey)
await writeKeyFile(file('issuer'), issuer)
await writeKeyFile(file('miner'), keyOf(privateKey))

const run = async (...argv: string[]) => {
  const io = testIo()
  return { code: await main(argv, io), out: io.outText(), err: io.errText() }
}

const children: ChildProcess[] = []
t.teardown(() => {
  for (const child of children) child.kill('SIGKILL')
})

/** The service in a process of its own; resolves when it listens. */
async function serve(): Promise<{ child: ChildProcess; url: string }> {
  const words = ['challenge', 'serve', '--key', file('issuer'), '--data', file('data'), '--port', '0', '--json']
  const child = spawn(process.execPath, ['bin/gonka-miner.js', ...words], { stdio: ['ignore', 'pipe', 'ignore'] })
  children.push(child)
  const line = await new Promise<string>((resolve, reject) => {
    let text = ''
    child.stdout?.setEncoding('utf8').on('data', (part: string) => {
      text += part
      if (text.includes('\n')) resolve(text)
    })
    child.on('exit', (code) => reject(new Error(`the service ended with ${code}`)))
  })
  return { child, url: (JSON.parse(line) as { url: string }).url }
}

const ended = (child: ChildProcess) => new Promise<number | null>((resolve) => child.on('exit', resolve))

t.test('end to end', async (t) => {
  const first = await serve()
  const size = ['--m', '512', '--n', '512', '--k', '1024', '--threads', '1']
  const job = ['--key', file('miner'), '--seconds', '3', '--shares', '100', ...size]
  const proved = await run(
    'prove',
    'throughput',
    ...job,
    '--challenge-url',
    first.url,
    '--out',
    file('a.gkp'),
    '--json',
  )
  t.equal(proved.code, 0, proved.err)
  const said = JSON.parse(proved.out)
  t.match(said, { challenge_from: 'service', certificate: file('a.gkp.cert'), measured: { plausible: true } })
  t.equal(said.challenge_issuer, Buffer.from(issuer.publicKey).toString('hex'))

  const gone = ended(first.child)
  first.child.kill('SIGKILL')
  await gone
  const offline = await run('challenge', 'verify', file('a.gkp.cert'), '--proof', file('a.gkp'), '--json')
  t.equal(offline.code, 0, offline.err)
  const certificate = JSON.parse(offline.out)
  t.match(certificate, { valid: true, issuer: { address: issuer.address }, proof: { valid: true, recomputed: 100 } })
  const elapsed = certificate.certificate.elapsed_seconds
  t.ok(elapsed >= said.measured.seconds, `${elapsed} s certified, ${said.measured.seconds} s by the prover`)
  t.ok(Math.abs(certificate.macs_per_second - said.work.macs / elapsed) < 1e-6 * certificate.macs_per_second)
  t.ok(certificate.macs_per_second_lower_bound < certificate.macs_per_second)
  t.match(await run('challenge', 'verify', file('a.gkp.cert')), { code: 0, out: /rate .*MAC\/s; at least .*VALID/s })
  const verified = await run('verify', file('a.gkp'), '--certificate', file('a.gkp.cert'), '--json')
  t.equal(verified.code, 0, verified.err)
  t.match(JSON.parse(verified.out), {
    certified: { elapsed_seconds: elapsed },
    verification: { macs: 32 * 64 * 64 * 1024 },
  })
  t.match(await run('verify', file('a.gkp'), '--certificate', file('a.gkp.cert')), { code: 0, out: /by the clock of/ })

  const again = await serve()
  const selfMade = [...job.with(1, file('issuer')), '--challenge-url', again.url, '--out', file('self.gkp')]
  t.match(await run('prove', 'throughput', ...selfMade), { code: 1, err: /vouches for nothing/ })
  const kept = await fetch(`${again.url}/v1/challenges/${said.challenge}/certificate`)
  t.same(new Uint8Array(await kept.arrayBuffer()), new Uint8Array(readFileSync(file('a.gkp.cert'))), 'survives kill -9')
  const stopped = ended(again.child)
  again.child.kill('SIGINT')
  t.equal(await stopped, 130)
})

t.test('mistakes', async (t) => {
  const job = [
    'prove',
    'throughput',
    '--key',
    file('miner'),
    '--seconds',
    '0.1',
    '--m',
    '64',
    '--n',
    '64',
    '--k',
    '256',
  ]
  const nobody = 'http://127.0.0.1:9'
  t.match(await run(...job, '--challenge-url', nobody, '--out', file('b.gkp')), {
    code: 1,
    err: /ERR_GK_CHALLENGE: http:\/\/127/,
  })
  t.match(await run(...job, '--challenge-url', 'x', '--out', file('b.gkp')), {
    code: 2,
    err: /expected http:\/\/HOST:PORT/,
  })
  const both = ['--challenge-url', nobody, '--challenge', '5c'.repeat(32)]
  t.match(await run(...job, ...both, '--out', file('b.gkp')), { code: 2, err: /either --challenge or/ })
  t.match(await run(...job, '--certificate', 'x', '--out', file('b.gkp')), { code: 2, err: /needs --challenge-url/ })
  t.match(await run('challenge', 'verify', file('a.gkp')), { code: 1, out: /NOT VALID/ }, 'a proof is no certificate')
  t.match(await run('challenge', 'verify', file('a.gkp.cert'), '--public-key', '02'.repeat(33)), {
    code: 1,
    out: /NOT VALID/,
  })
  t.equal((await run(...job, '--out', file('c.gkp'))).code, 0)
  t.match(await run('challenge', 'verify', file('a.gkp.cert'), '--proof', file('c.gkp')), { code: 1, out: /NOT VALID/ })
  t.match(await run('verify', file('c.gkp'), '--certificate', file('a.gkp.cert')), {
    code: 1,
    out: /is for the proof with/,
  })
  const whole = ['verify', file('a.gkp'), '--certificate', file('a.gkp.cert'), '--json']
  const issuerHex = Buffer.from(issuer.publicKey).toString('hex')
  t.equal((await run(...whole, '--issuer', issuerHex)).code, 0)
  const stranger = await run(...whole, '--issuer', '02'.repeat(33))
  t.equal(stranger.code, 1)
  t.match(JSON.parse(stranger.out), { valid: false, reason: { code: 'ERR_GK_PROOF_KEY' }, certified: null })
  t.match(await run('verify', file('a.gkp'), '--issuer', issuerHex), { code: 2, err: /--certificate/ })
  const honest = new Uint8Array(readFileSync(file('a.gkp.cert')))
  writeFileSync(file('bad.cert'), honest.with(-1, (honest.at(-1) as number) ^ 1))
  const bad = await run('verify', file('a.gkp'), '--certificate', file('bad.cert'), '--json')
  t.equal(bad.code, 1)
  t.match(JSON.parse(bad.out), { valid: false, reason: { code: 'ERR_GK_PROOF_SIGNATURE' } })
  const own = signCertificate(openCertificate(honest).certificate, privateKey)
  writeFileSync(file('own.cert'), own)
  t.match(await run('challenge', 'verify', file('own.cert')), { code: 1, out: /certified itself/ })
  t.match(await run('verify', file('a.gkp'), '--certificate', file('own.cert')), { code: 1, out: /certified itself/ })
  writeFileSync(file('short.cert'), readFileSync(file('a.gkp.cert')).subarray(0, 100))
  t.match(await run('challenge', 'verify', file('short.cert')), { code: 2, err: /not a certificate/ })
  t.match(await run('challenge', 'serve', '--key', file('none'), '--data', file('data')), {
    code: 2,
    err: /ERR_GK_FILE/,
  })
})
