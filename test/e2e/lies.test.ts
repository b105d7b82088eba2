/** matmul-pow on a vendor's library that has only gemm: honest, and with each of its lies. */
import { spawnSync } from 'node:child_process'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { openDevice, verify } from '../../lib/index.ts'
import type { MatmulPowRunJob, NativeDevice } from '../../lib/native-api.ts'
import { signProof } from '../../lib/proof/sign.ts'
import { privateKey, smallMatmulPow } from '../proof/samples.ts'
import { lyingJob } from './lying-job.ts'

t.setTimeout(0)
const example = resolve('build/Release/examples/gonka_example_backend.so')

const job = (m: number, n: number): MatmulPowRunJob => ({ ...lyingJob(3), m, n })

async function sharesOf(device: NativeDevice, of: MatmulPowRunJob, nonceCount: number) {
  const found: [bigint, number, number][] = []
  await device.matmulPow({ job: of, firstNonce: 0n, nonceCount }, (nonces, bi, bj) => {
    for (const [i, nonce] of nonces.entries()) found.push([nonce, bi[i] as number, bj[i] as number])
  })
  return found.sort((a, b) => Number(a[0] - b[0]) || a[1] - b[1] || a[2] - b[2])
}

t.test('the products of an honest gemm, everything else by the host', async (t) => {
  const notices: string[] = []
  const onNotice = (sentence: string) => notices.push(sentence)
  const device = await openDevice({ device: 'example:0', backends: [example], onNotice })
  const cpu = await openDevice({ threads: 1 })
  // Several blocks of 16 x 16 tiles in both directions, and one tile.
  for (const [m, n] of [
    [1088, 1152],
    [64, 64],
  ] as const) {
    const found = await sharesOf(device, job(m, n), 1)
    t.same(found, await sharesOf(cpu, job(m, n), 1), `${m} x ${n}`)
    t.ok(found.length > 0)
  }
  t.match(notices.join(), /does not run matmul_pow .*its gemm computes the products, the host the rest/)
  t.match(device.fallbacks(), [{ op: 'matmul_pow' }])
  await device.close()
  await cpu.close()
})

/** What lying-prover.ts prints in a process of its own, since verdicts of a self-test are kept for the process. */
function prover(lie: string): { code: number | null; lines: string[]; err: string } {
  const script = fileURLToPath(new URL('./lying-prover.js', import.meta.url))
  const { status, stdout, stderr } = spawnSync(process.execPath, [script], {
    encoding: 'utf8',
    env: { ...process.env, GONKA_LIE: lie },
  })
  return { code: status, lines: stdout.split('\n').filter((line) => line !== ''), err: stderr }
}

t.test("lies that gemm's self-test finds", async (t) => {
  for (const lie of ['accumulator', 'tail']) {
    t.match(prover(lie), { code: 1, lines: [], err: /ERR_GK_SELFTEST_FAILED.*gemm/ }, lie)
  }
})

t.test('a stale product once in a thousand is found by whoever verifies', async (t) => {
  // Such a call has the sums of the one before; its ticket wins in half of the cases, and the right one loses in half of
  // those. Challenges are fixed, so it always comes to it in the same of them.
  const { code, lines, err } = prover('stale')
  t.equal(code, 0, err)
  const noDevice = async (): Promise<never> => {
    throw new Error('matmul-pow needs no device')
  }
  const verdicts: boolean[] = []
  for (const [round, line] of lines.entries()) {
    const found = (JSON.parse(line) as [string, number, number][]).slice(0, 400)
    const statement = {
      ...smallMatmulPow.statement,
      ...lyingJob(round),
      nonces: BigUint64Array.from(found, ([nonce]) => BigInt(nonce)),
      bi: Uint32Array.from(found, ([, bi]) => bi),
      bj: Uint32Array.from(found, ([, , bj]) => bj),
    }
    const { valid, problem } = await verify(signProof({ ...smallMatmulPow, statement }, privateKey), {
      device: noDevice,
      sample: 'all',
    })
    verdicts.push(valid)
    if (!valid) t.equal(problem?.code, 'ERR_GK_PROOF_DISTANCE')
  }
  t.comment(`found true: ${verdicts.join()}`)
  t.ok(verdicts.includes(false))
})
