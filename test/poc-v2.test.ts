// PoC v2 through the command line and the addon: golden artifacts, tiny models, validation, drift.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import t from 'tap'
import { main } from '../lib/cli.ts'
import { loadNative } from '../lib/native.ts'
import { nativeV2Engine } from '../lib/node/native-v2-engine.ts'
import { runPocV2 } from '../lib/poc-v2.ts'
import { decodeVector } from '../lib/protocol/artifact-vector.ts'
import { testIo } from './io.ts'

t.setTimeout(0)
const directory = mkdtempSync(join(tmpdir(), 'gonka-poc-v2-'))
t.teardown(() => rmSync(directory, { recursive: true }))

const run = async (...argv: string[]) => {
  const io = testIo()
  const code = await main(argv, io)
  return { code, out: io.outText(), err: io.errText() }
}
const json = async (...argv: string[]) => {
  const { code, out, err } = await run(...argv, '--json')
  return { code, err, value: out === '' ? undefined : JSON.parse(out) }
}
const path = (name: string) => join(directory, name)

const golden = JSON.parse(readFileSync('test/golden/v2/llama_tiny/artifacts.json', 'utf8')) as {
  block_hash: string
  public_key: string
  nonces: number[]
  runs: Record<string, { artifacts: { nonce: number; vector_b64: string }[] }>
}
const model = 'test/golden/v2/llama_tiny'
const round = [
  '--model',
  model,
  '--block-hash',
  golden.block_hash,
  '--public-key',
  golden.public_key,
  '--seq-len',
  '16',
]
const nonces = golden.nonces.join(',')

const l2 = (a: string, b: string) => {
  const [x, y] = [decodeVector(a), decodeVector(b)] as [Float32Array, Float32Array]
  return Math.hypot(...x.map((value, i) => value - (y[i] as number)))
}

t.test('poc v2 gives the golden artifacts, with both generators', async (t) => {
  for (const [rng, name] of [
    ['murmur', 'murmur'],
    ['concat-murmur', 'concat_murmur'],
  ] as const) {
    const { code, value } = await json('poc', 'v2', ...round, '--nonces', nonces, '--rng', rng, '--compute', 'f32')
    t.equal(code, 0)
    const want = golden.runs[`${name}/fp32/cuda_pick_order`]?.artifacts ?? []
    t.equal(value.artifacts.length, want.length)
    for (const [i, { nonce, vector_b64 }] of value.artifacts.entries()) {
      t.equal(nonce, want[i]?.nonce)
      t.ok(l2(vector_b64, want[i]?.vector_b64 ?? '') <= 1e-3)
    }
    t.same(value.encoding, { dtype: 'f16', k_dim: 12, endian: 'le' })
    t.match(value, { protocol: 'poc-v2', params: { seq_len: 16, k_dim: 12 }, rng, engine: { compute: 'f32' } })
    writeFileSync(path(`${rng}.json`), JSON.stringify(value))
  }
})

t.test('batches and threads change nothing', async (t) => {
  const texts = new Set<string>()
  for (const threads of ['1', '2']) {
    for (const batch of ['1', '2', '7', '32']) {
      const { out } = await run('poc', 'v2', ...round, '--nonces', nonces, '--threads', threads, '--batch', batch)
      texts.add(out)
    }
  }
  t.equal(texts.size, 1)
  t.equal([...texts][0]?.split('\n').length, golden.nonces.length + 1)
})

t.test('validate: honest, forged, another rng, both names of the significance', async (t) => {
  const validate = (file: string, ...more: string[]) =>
    json('poc', 'v2', 'validate', '--model', model, '--artifacts', path(file), ...more)
  const honest = await validate('murmur.json')
  t.equal(honest.code, 0)
  t.match(honest.value, { n_total: 13, n_mismatch: 0, fraud_detected: false, significance_from: 'default' })
  t.ok(Object.values(honest.value.distances as Record<string, number>).every((distance) => distance < 0.02))

  const forged = JSON.parse(readFileSync(path('murmur.json'), 'utf8'))
  const artifacts = forged.artifacts as { nonce: number; vector_b64: string }[]
  const [first, second] = [artifacts[0], artifacts[1]] as [(typeof artifacts)[0], (typeof artifacts)[0]]
  ;[first.vector_b64, second.vector_b64] = [second.vector_b64, first.vector_b64]
  writeFileSync(path('forged.json'), JSON.stringify(forged))
  const fraud = await validate('forged.json')
  t.equal(fraud.code, 1)
  t.match(fraud.value, { n_mismatch: 2, mismatch_nonces: [0, 1], fraud_detected: true })
  const lax = await validate('forged.json', '--p-mismatch', '0.1', '--p-value-threshold', '0.05')
  t.match(lax.value, { fraud_detected: false, significance: 0.05, significance_from: 'p_value_threshold' })
  const both = await validate('forged.json', '--fraud-threshold', '1e-9', '--p-value-threshold', '0.5')
  t.match(both.value, { fraud_detected: false, significance_from: 'fraud_threshold' })
  t.equal((await validate('murmur.json', '--rng', 'concat-murmur')).code, 1)
})

t.test('diff: equal files, drift of a type layer by layer, files of different rounds', async (t) => {
  const trace = async (name: string, ...more: string[]) => {
    const { value } = await json('poc', 'v2', ...round, '--nonces', '0-5', '--trace', ...more)
    writeFileSync(path(name), JSON.stringify(value))
  }
  await trace('f32.json', '--compute', 'f32')
  await trace('own.json')
  const same = await json('poc', 'diff', path('f32.json'), path('f32.json'), '--trace')
  t.equal(same.code, 0)
  t.same(same.value.histogram, [{ from: 0, to: 0, count: 6 }])
  const { value } = await json('poc', 'diff', path('f32.json'), path('own.json'), '--trace')
  t.equal(value.nonces.length, 6)
  t.ok(value.distances.every((distance: number) => distance > 0 && distance < 0.02))
  t.equal(value.layers.length, 3)
  for (const { median, largest } of value.layers) t.ok(median > 1e-4 && median <= largest && largest < 0.05)
  t.equal(value.verdicts.length, 2)
  const strict = await json('poc', 'diff', path('f32.json'), path('own.json'), '--test', '0.0001,0.001,0.01')
  t.equal(strict.code, 1)
  t.match(strict.value.verdicts, [{ n_mismatch: 6, fraud_detected: true }])
  const text = await run('poc', 'diff', path('f32.json'), path('own.json'), '--trace')
  t.match(text.out, /final norm/)
  const wrong = await run('poc', 'diff', path('f32.json'), path('concat-murmur.json'))
  t.equal(wrong.code, 2)
  t.match(wrong.err, /different rounds: rng/)
})

t.test('artifacts: root, proof of each nonce, forged proofs', async (t) => {
  const small = JSON.parse(readFileSync(path('murmur.json'), 'utf8'))
  small.artifacts = small.artifacts.filter(({ nonce }: { nonce: number }) => nonce < 2 ** 32)
  writeFileSync(path('small.json'), JSON.stringify(small))
  const root = await json('artifacts', 'root', path('small.json'))
  t.equal(root.value.count, small.artifacts.length)
  t.equal(root.value.depth, 32)
  const order = small.artifacts.map(({ nonce }: { nonce: number }) => nonce).sort((a: number, b: number) => a - b)
  for (const [index, nonce] of order.entries()) {
    const proof = await json('artifacts', 'prove', path('small.json'), '--nonce', String(nonce))
    t.match(proof.value, { root: root.value.root, leaf: { index } })
    writeFileSync(path('leaf.json'), JSON.stringify(proof.value))
    const known = ['--root', root.value.root, '--count', String(root.value.count)]
    t.equal((await run('artifacts', 'verify', path('leaf.json'), ...known)).code, 0)
    t.equal((await run('artifacts', 'verify', path('leaf.json'), '--root', '00'.repeat(32))).code, 1)
    t.equal((await run('artifacts', 'verify', path('leaf.json'), '--count', '1')).code, 1)
    for (const change of [
      { leaf: { ...proof.value.leaf, index: index + 1 } },
      { leaf: { ...proof.value.leaf, nonce: nonce === 5 ? 6 : 5 } },
      { leaf: { ...proof.value.leaf, vector_b64: small.artifacts[index === 0 ? 1 : 0].vector_b64 } },
      { count: root.value.count + 1 },
      { proof: [...proof.value.proof.slice(1), proof.value.proof[0]] },
    ]) {
      writeFileSync(path('leaf.json'), JSON.stringify({ ...proof.value, ...change }))
      const forged = await json('artifacts', 'verify', path('leaf.json'))
      t.equal(forged.code, 1, Object.keys(change).join())
      t.equal(forged.value.valid, false)
    }
  }
  const large = await run('artifacts', 'root', path('murmur.json'))
  t.match(large.err, /nonce 9007199254740991 does not fit 32 bits/)
  t.match((await run('artifacts', 'prove', path('small.json'), '--nonce', '12345')).err, /no artifact of nonce 12345/)
})

t.test('the node engine gives the same artifacts', async (t) => {
  const log = pino({ level: 'silent' })
  const options = { device: 'cpu:0', directory: model, models: ['llama/tiny'], log }
  const engine = nativeV2Engine(async () => loadNative(), options)
  t.teardown(() => engine.close())
  const job = {
    blockHash: golden.block_hash,
    publicKey: golden.public_key,
    model: 'llama/tiny',
    seqLen: 16,
    kDim: 12,
    strongerRng: true,
  }
  await engine.check()
  t.equal(engine.refuse(job), undefined)
  t.match(engine.refuse({ ...job, model: 'other' }), { deployed: { model: 'llama/tiny' } })
  const own = await json('poc', 'v2', ...round, '--nonces', nonces, '--rng', 'concat-murmur')
  const got: { nonce: number; vector_b64: string }[] = []
  const sizes: number[] = []
  for await (const { computed, artifacts } of engine.generate(job, golden.nonces, 5, new AbortController().signal)) {
    sizes.push(computed.length)
    for (const { nonce, vector } of artifacts) got.push({ nonce, vector_b64: Buffer.from(vector).toString('base64') })
  }
  t.same(sizes, [5, 5, 3])
  t.same(got, own.value.artifacts)
  const aborted = engine.generate(job, golden.nonces, 5, AbortSignal.abort())
  await t.rejects((async () => aborted[Symbol.asyncIterator]().next())(), { code: 'ERR_GK_CANCELLED' })
  const nowhere = nativeV2Engine(async () => loadNative(), { ...options, directory: path('nowhere') })
  await t.rejects(nowhere.check(), { code: 'ERR_GK_FILE' })
})

t.test("a vendor's device that knows two ops: the others run on the host", async (t) => {
  const { code, value, err } = await json(
    ...['poc', 'v2', ...round, '--nonces', '0-3', '--compute', 'f32', '--device', 'example:0'],
    ...['--backend', 'build/Release/examples/gonka_example_backend.so'],
  )
  t.equal(code, 0, err)
  t.match(err, /example:0 does not run attention .*it runs on the host CPU/)
  const want = golden.runs['murmur/fp32/cuda_pick_order']?.artifacts ?? []
  for (const [i, { vector_b64 }] of value.artifacts.entries()) t.ok(l2(vector_b64, want[i]?.vector_b64 ?? '') <= 1e-3)
})

t.test('a run stops when told to, and the session goes on', async (t) => {
  const device = await loadNative().openDevice({ device: 'cpu:0' })
  t.teardown(() => device.close())
  const session = await device.pocV2Open({ model })
  const request = {
    blockHash: 'a',
    publicKey: 'b',
    nonces: BigInt64Array.from({ length: 100_000 }, (_, i) => BigInt(i)),
    seqLen: 64,
    kDim: 12,
    rng: 'murmur' as const,
    batch: 1,
  }
  const stop = new AbortController()
  let batches = 0
  await t.rejects(
    async () => {
      for await (const _ of runPocV2(session, request, { signal: stop.signal })) if (++batches === 2) stop.abort()
    },
    { code: 'ERR_GK_CANCELLED' },
  )
  t.ok(batches < 1000, `${batches} batches`)
  for await (const { artifacts } of runPocV2(session, { ...request, nonces: BigInt64Array.of(7n) })) {
    t.equal(artifacts[0]?.nonce, 7)
  }
  await session.close()
  await session.close()
})

t.test('make-tiny and digest', async (t) => {
  const digests = new Set<string>()
  for (const [name, family, seed] of [
    ['a', 'qwen3', '1'],
    ['b', 'qwen3', '1'],
    ['c', 'qwen3', '2'],
    ['d', 'qwen3-moe', '1'],
  ] as const) {
    t.equal((await run('model', 'make-tiny', path(name), '--family', family, '--seed', seed)).code, 0)
    const { out } = await run('model', 'digest', path(name))
    t.match(out, /^[0-9a-f]{64}\n$/)
    digests.add(out)
  }
  t.equal(digests.size, 3, 'the same seed gives the same model, another one another')
  const { code, value } = await json(
    ...['poc', 'v2', '--model', path('d'), '--block-hash', 'x', '--public-key', 'y', '--nonces', '0-2'],
    ...['--seq-len', '24'],
  )
  t.equal(code, 0)
  t.equal(value.engine.architecture, 'Qwen3MoeForCausalLM')
  const again = await run('model', 'make-tiny', path('a'), '--family', 'qwen3')
  t.equal(again.code, 2)
  t.match(again.err, /exists already/)
  t.match((await run('model', 'make-tiny', path('e'), '--family', 'gpt2')).err, /expected one of llama/)
  t.match((await run('model', 'make-tiny', path('e'), '--preset', 'gpt2')).err, /preset "gpt2"; expected one of/)
  const mixed = await run('model', 'make-tiny', path('e'), '--preset', 'qwen3-0.6b', '--family', 'llama')
  t.match(mixed.err, /expected one of/)
  const neither = await run('model', 'make-tiny', path('f'))
  t.equal(neither.code, 2)
  t.match(neither.err, /'--family <name>' and '--preset <name>'/)
  t.notOk(existsSync(path('f')), 'a refused request makes no folder')
})

t.test('bad requests name what is wrong', async (t) => {
  const cases: [string[], RegExp][] = [
    [['poc', 'v2', ...round], /--nonces <list>/],
    [['poc', 'v2', ...round.slice(2), '--nonces', '0'], /--model/],
    [['poc', 'v2', ...round, '--nonces', '0', '--model', '/nonexistent'], /nonexistent\/config.json: cannot be opened/],
    [['poc', 'v2', ...round, '--nonces', '0', '--k-dim', '65'], /k_dim: expected 1 to the model's hidden size of 64/],
    [['poc', 'v2', ...round, '--nonces', '0', '--seq-len', '4096'], /4096 tokens; the model has 2048 positions/],
    [['poc', 'v2', ...round, '--nonces', '0', '--rng', 'pcg'], /Allowed choices are murmur/],
  ]
  for (const [argv, message] of cases) {
    const { code, err } = await run(...argv)
    t.equal(code, 2, argv.join(' '))
    t.match(err, message)
  }
})

t.test('a server as engine', async (t) => {
  const stored = golden.runs['murmur/fp32/cuda_pick_order']?.artifacts ?? []
  const bodies: { nonces: number[]; wait: boolean; params: unknown; poc_stronger_rng?: boolean }[] = []
  const server = createServer(async (request, response) => {
    let text = ''
    for await (const piece of request) text += piece
    const body = JSON.parse(text)
    bodies.push(body)
    const artifacts = stored.filter(({ nonce }) => body.nonces.includes(nonce))
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ status: 'completed', request_id: 'x', artifacts }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const { code, value } = await json(
    ...['poc', 'v2', '--upstream', url, '--model', 'served/name', '--block-hash', golden.block_hash],
    ...['--public-key', golden.public_key, '--seq-len', '16', '--nonces', nonces, '--batch', '8'],
  )
  t.equal(code, 0)
  t.same(value.artifacts, stored)
  t.match(bodies, [{ wait: true, params: { model: 'served/name', seq_len: 16, k_dim: 12 } }, { wait: true }])
  t.same(
    bodies.flatMap((body) => body.nonces),
    golden.nonces,
  )
  writeFileSync(path('upstream.json'), JSON.stringify(value))
  const compared = await json('poc', 'diff', path('upstream.json'), path('murmur.json'))
  t.equal(compared.code, 0)
})
