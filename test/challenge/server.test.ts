import { join } from 'node:path'
import t from 'tap'
import { keyOf } from '../../lib/chain/key-file.ts'
import { publicKeyOf, sign } from '../../lib/chain/keys.ts'
import { byteBudget, oneAtATime, rateLimit } from '../../lib/challenge/limits.ts'
import { openDevice } from '../../lib/index.ts'
import { openCertificate, signCertificate } from '../../lib/proof/certificate.ts'
import { decodePayload, decodeProofFile, encodePayload, encodeProofFile } from '../../lib/proof/codec.ts'
import type { MatmulPowStatement, Payload } from '../../lib/proof/payload.ts'
import { otherPrivateKey, privateKey, publicKeyHex, smallPayload } from '../proof/samples.ts'
import { issue, issuer, proofFor, prover, rawRequest, startService, submit } from './service.ts'

t.setTimeout(0)
const device = await openDevice()
t.teardown(() => device.close())

t.test('limits', async (t) => {
  let time = 0
  const allow = rateLimit(60, 2, () => time)
  for (let i = 0; i < 60; i++) t.equal(allow('a'), 0)
  t.equal(allow('a'), 1, 'one token a second')
  t.equal(allow('b'), 0, 'addresses do not share')
  time = 1000
  t.equal(allow('a'), 0)
  allow('b')
  allow('c')
  t.equal(allow('a'), 0, 'the address unused for longest was forgotten')
  t.equal(rateLimit(Number.POSITIVE_INFINITY)('a'), 0)
  const budget = byteBudget(10)
  const back = budget.take(8)
  t.equal(budget.take(3), undefined)
  back?.()
  back?.()
  t.equal(budget.free(), 10, 'given back once')
  const inTurn = oneAtATime()
  const order: number[] = []
  const slow = inTurn(async () => {
    await new Promise((resolve) => setTimeout(resolve, 10))
    order.push(1)
    throw new Error('fails')
  })
  await Promise.all([t.rejects(slow, { message: 'fails' }), inTurn(async () => order.push(2))])
  t.same(order, [1, 2])
})

t.test('a challenge, its proof, its certificate', async (t) => {
  const service = await startService({ folder: t.testdir() })
  const { url } = service
  t.match(await (await fetch(`${url}/v1/info`)).json(), { address: issuer.address, max_shares: 1000 })
  const challenge = await issue(url)
  const status = async () => (await fetch(`${url}/v1/challenges/${challenge}`)).json()
  t.match(await status(), { state: 'open' })
  const proof = await proofFor(device, challenge)
  const first = await submit(url, challenge, proof)
  t.equal(first.status, 201)
  const { certificate, publicKey } = openCertificate(first.body)
  t.same(publicKey, issuer.publicKey)
  t.equal(Buffer.from(certificate.job.challenge).toString('hex'), challenge)
  t.same(certificate.job.publicKey, prover.publicKey)
  t.equal(certificate.checked, 4)
  t.ok(certificate.elapsedNs > 0n && certificate.elapsedNs < 60_000_000_000n)
  t.match(await status(), { state: 'certified' })
  t.same(await submit(url, challenge, proof), { ...first, status: 200 }, 'the same proof gets the same certificate')
  const kept = await fetch(`${url}/v1/challenges/${challenge}/certificate`)
  t.same(new Uint8Array(await kept.arrayBuffer()), first.body)
  t.match(await submit(url, challenge, await proofFor(device, challenge, { shares: 5 })), {
    status: 409,
    code: 'challenge_used',
  })
  await service.close()
})

t.test('forgeries', async (t) => {
  const service = await startService({ folder: t.testdir() })
  const { url } = service
  const signed = (payload: Payload, signer = privateKey) => {
    const bytes = encodePayload(payload)
    return encodeProofFile({ payload: bytes, publicKey: publicKeyOf(signer), signature: sign(bytes, signer) })
  }
  const earlier = await proofFor(device, '5c'.repeat(32), { shares: 12 })
  const { nonces, bi, bj, target } = statementOf(earlier)
  type Forge = (change: Partial<MatmulPowStatement>, signer?: Uint8Array<ArrayBuffer>) => Uint8Array
  const cases: [string, (proof: Uint8Array, forge: Forge, own: MatmulPowStatement) => Uint8Array, string][] = [
    ['nothing', () => new Uint8Array(), 'ERR_GK_PROOF_UNREADABLE'],
    ['noise', () => new Uint8Array(200).fill(7), 'ERR_GK_PROOF_UNREADABLE'],
    ['cut short', (proof) => proof.subarray(0, proof.length - 9), 'ERR_GK_PROOF_UNREADABLE'],
    ['one bit', (proof) => proof.with(60, (proof[60] as number) ^ 1), 'ERR_GK_PROOF_SIGNATURE'],
    ['work done before the challenge was issued', () => earlier, 'ERR_GK_PROOF_PARAMS'],
    ['its shares under this challenge', (_, forge) => forge({ nonces, bi, bj, target }), 'ERR_GK_PROOF_DISTANCE'],
    [
      'invented shares',
      (_, forge, own) => forge({ nonces: own.nonces.map((nonce) => nonce + 7777n) }),
      'ERR_GK_PROOF_DISTANCE',
    ],
    ['a share twice', (_, forge, own) => forge(twice(own)), 'ERR_GK_PROOF_DUPLICATE_NONCE'],
    ['another target', (_, forge) => forge({ target: new Uint8Array(32).fill(1) }), 'ERR_GK_PROOF_DISTANCE'],
    ['another k', (_, forge) => forge({ k: 512 }), 'ERR_GK_PROOF_DISTANCE'],
    ['fewer shares declared', (_, forge) => forge({ shares: 11 }), 'ERR_GK_PROOF_ARTIFACT'],
    ['a tile outside', (_, forge, own) => forge({ bi: own.bi.with(0, 2) }), 'ERR_GK_PROOF_ARTIFACT'],
    ['signed by another', (_, forge) => forge({}, otherPrivateKey), 'ERR_GK_PROOF_KEY'],
    [
      "another key's shares",
      (_, forge) => forge({ publicKey: publicKeyOf(otherPrivateKey) }, otherPrivateKey),
      'ERR_GK_PROOF_DISTANCE',
    ],
    ['another kind of proof', () => signed(smallPayload), 'ERR_GK_PROOF_PARAMS'],
  ]
  for (const [name, make, code] of cases) {
    const challenge = await issue(url)
    // Twelve shares at one in four: made-up ones all win once in 16 million runs.
    const proof = await proofFor(device, challenge, { shares: 12 })
    const payload = decodePayload(decodeProofFile(proof).payload)
    const own = statementOf(proof)
    const forge: Forge = (change, signer) => signed({ ...payload, statement: { ...own, ...change } }, signer)
    t.match(await submit(url, challenge, make(proof, forge, own)), { status: 422, code }, name)
    t.match(await submit(url, challenge, proof), { status: 201 }, `the honest one after ${name}`)
  }
  const proof = earlier
  const spent = await issue(url)
  for (let i = 0; i < 8; i++)
    t.match(await submit(url, spent, proof), { status: 422 }, 'replayed under another challenge')
  t.match(await submit(url, spent, proof), { status: 404, code: 'unknown_challenge' }, 'closed after eight')
  const bound = await issue(url, publicKeyHex)
  const strangers = await proofFor(device, bound, { key: keyOf(new Uint8Array(32).fill(9)) })
  t.match(await submit(url, bound, strangers), { status: 422, code: 'ERR_GK_PROOF_KEY' })
  t.match(await submit(url, bound, await proofFor(device, bound)), { status: 201 })
  await service.close()
})

function statementOf(proof: Uint8Array): MatmulPowStatement {
  const { statement } = decodePayload(decodeProofFile(proof).payload)
  if (statement.kind !== 'matmul_pow') throw new Error('not matmul-pow')
  return statement
}

function twice({ nonces, bi, bj }: MatmulPowStatement): Partial<MatmulPowStatement> {
  return {
    nonces: nonces.with(1, nonces[0] as bigint),
    bi: bi.with(1, bi[0] as number),
    bj: bj.with(1, bj[0] as number),
  }
}

t.test('too late', async (t) => {
  let shift = 0
  const service = await startService({ folder: t.testdir(), lifetimeMs: 30_000, now: () => Date.now() + shift })
  const { url } = service
  const challenge = await issue(url)
  const proof = await proofFor(device, challenge)
  shift = 31_000
  t.match(await submit(url, challenge, proof), { status: 410, code: 'too_late' })
  shift = 70_000
  await service.book.sweep()
  t.match(await submit(url, challenge, proof), { status: 404 }, 'swept away')
  shift = 0
  const punctual = await issue(url)
  const answer = await submit(url, punctual, await proofFor(device, punctual))
  t.equal(answer.status, 201)
  shift = 3_700_000
  await service.book.sweep()
  t.equal((await fetch(`${url}/v1/challenges/${punctual}/certificate`)).status, 404, 'kept for an hour')
  const early = await issue(url)
  shift = 3_600_000
  const late = await submit(url, early, await proofFor(device, early))
  t.equal(late.status, 201, 'a wall clock set back')
  t.ok(openCertificate(late.body).certificate.elapsedNs > 0n, 'the monotonic one counts')
  await service.close()
})

t.test('after a restart', async (t) => {
  const folder = t.testdir()
  const before = await startService({ folder })
  const challenge = await issue(before.url)
  const done = await issue(before.url)
  const proof = await proofFor(device, done)
  const { body } = await submit(before.url, done, proof)
  await before.close()
  const after = await startService({ folder })
  t.same(await submit(after.url, done, proof), { status: 200, code: undefined, body })
  t.match(await submit(after.url, challenge, await proofFor(device, challenge)), { status: 201 })
  await after.close()
})

t.test('malformed, oversized, slow and truncated', async (t) => {
  const folder = t.testdir({ strict: {}, data: {} })
  const service = await startService({ folder: join(folder, 'data'), maxOpen: 3, requestTimeoutMs: 400 })
  const { url } = service
  const challenge = await issue(url)
  const path = `/v1/challenges/${challenge}/proof`
  const post = async (to: string, body: string | Uint8Array) => {
    const answer = await fetch(`${url}${to}`, { method: 'POST', body: body as string })
    return { status: answer.status, ...((await answer.json()) as { code: string }) }
  }
  t.match(await post('/v1/challenges', '{'), { status: 400, code: 'bad_request' })
  t.match(await post('/v1/challenges', '{"public_key": "02ab"}'), { status: 400, message: /public_key: expected 66/ })
  t.match(await post('/v1/challenges', `{"public_key": "${'00'.repeat(33)}"}`), {
    status: 400,
    message: /not a compressed/,
  })
  t.match(await post('/v1/challenges', '{"more": 1}'), { status: 400 })
  t.match(await post('/v1/challenges/xyz/proof', 'x'), { status: 400 })
  t.match(await post(`/v1/challenges/${'0'.repeat(64)}/proof`, 'x'), { status: 404, code: 'unknown_challenge' })
  t.match(await post(path, new Uint8Array(100_000)), { status: 413, code: 'too_large' })
  t.equal((await fetch(`${url}/nothing`)).status, 404)
  const chunked = `POST ${path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`
  t.match(await rawRequest(url, `${chunked}5\r\nabcde\r\n`), /^HTTP\/1.1 411 /)
  const huge = `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\nabc`
  t.match(await rawRequest(url, huge), /^HTTP\/1.1 413 /)
  t.match(await rawRequest(url, 'nonsense\r\n\r\n'), /^HTTP\/1.1 400 /)
  t.match(await rawRequest(url, 'GET /v1/info HT'), /^(HTTP\/1.1 408 |$)/, 'half a header is hung up on')
  const slow = `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\nabc`
  t.match(await rawRequest(url, slow), /^(HTTP\/1.1 408 |$)/, 'half a body as well')
  await Promise.all(Array.from({ length: 50 }, () => rawRequest(url, slow, true)))
  t.match(await submit(url, challenge, await proofFor(device, challenge)), { status: 201 }, 'and still answers')
  for (let i = 0; i < 3; i++) await issue(url)
  const full = await fetch(`${url}/v1/challenges`, { method: 'POST' })
  t.equal(full.status, 503, 'as many challenges are open as may be')
  t.equal(full.headers.get('retry-after'), '1')
  await service.close()
  const strict = await startService({ folder: join(folder, 'strict'), perMinute: 2 })
  await issue(strict.url)
  await issue(strict.url)
  const limited = await fetch(`${strict.url}/v1/challenges`, { method: 'POST' })
  t.equal(limited.status, 429)
  t.ok(Number(limited.headers.get('retry-after')) > 20)
  await strict.close()
})

t.test('many at a time', async (t) => {
  const service = await startService({ folder: t.testdir() })
  const { url } = service
  const challenges = await Promise.all(Array.from({ length: 40 }, () => issue(url)))
  const proofs: Uint8Array[] = []
  for (const challenge of challenges) proofs.push(await proofFor(device, challenge))
  // Each proof three times at once, and one that is wrong beside it.
  const answers = await Promise.all(
    challenges.flatMap((challenge, i) => {
      const proof = proofs[i] as Uint8Array
      const wrong = proofs[(i + 1) % proofs.length] as Uint8Array
      return [proof, proof, proof, wrong].map((bytes) => submit(url, challenge, bytes))
    }),
  )
  for (const [i] of challenges.entries()) {
    const [a, b, c, wrong] = answers.slice(4 * i, 4 * i + 4) as [
      (typeof answers)[0],
      (typeof answers)[0],
      (typeof answers)[0],
      (typeof answers)[0],
    ]
    t.same([a, b, c].map(({ status }) => status).sort(), [200, 200, 201], 'certified once')
    t.same([b.body, c.body], [a.body, a.body], 'and the same for all')
    t.ok(wrong.status === 422 || wrong.status === 409, `a wrong one: ${wrong.status}`)
  }
  await service.close()
})

t.test('certificates', async (t) => {
  const job = {
    profile: 'i8',
    m: 64,
    n: 64,
    k: 256,
    shares: 10,
    target: new Uint8Array(32).fill(0x10),
    challenge: new Uint8Array(32).fill(1),
    publicKey: prover.publicKey,
  } as const
  const honest = {
    proofSha256: new Uint8Array(32).fill(2),
    job,
    issuedUnixMs: 1_790_000_000_000n,
    receivedUnixMs: 1_790_000_001_000n,
    elapsedNs: 1_000_000_000n,
    checked: 10,
  }
  const bytes = signCertificate(honest, otherPrivateKey)
  t.same(openCertificate(bytes), { certificate: honest, publicKey: issuer.publicKey })
  const codes = new Set<string>()
  for (let at = 0; at < bytes.length; at++) {
    for (const mask of [0x01, 0x80]) {
      const changed = bytes.with(at, (bytes[at] as number) ^ mask)
      try {
        openCertificate(changed)
        t.fail(`byte ${at} ^ ${mask}`)
      } catch (error) {
        codes.add((error as { code: string }).code)
      }
    }
    t.throws(() => openCertificate(bytes.subarray(0, at)), { code: 'ERR_GK_PROOF_UNREADABLE' })
  }
  t.same([...codes].sort(), ['ERR_GK_PROOF_SIGNATURE', 'ERR_GK_PROOF_UNREADABLE'])
  const impossible = [
    { receivedUnixMs: 1n },
    { elapsedNs: 0n },
    { checked: 0 },
    { checked: 11 },
    { job: { ...job, m: 100 } },
  ]
  for (const change of impossible) {
    t.throws(() => openCertificate(signCertificate({ ...honest, ...change }, otherPrivateKey)), {
      code: 'ERR_GK_PROOF_PARAMS',
    })
  }
  const proof = encodePayload(smallPayload)
  const asProof = encodeProofFile({
    payload: proof,
    publicKey: issuer.publicKey,
    signature: sign(proof, otherPrivateKey),
  })
  t.throws(() => openCertificate(asProof), { code: 'ERR_GK_PROOF_SIGNATURE' }, 'a proof is no certificate')
})
