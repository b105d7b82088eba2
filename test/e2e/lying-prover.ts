/** Runs jobs on the lying backend and prints their shares, a line of JSON each; for lies.test.ts. */
import { resolve } from 'node:path'
import { loadNative } from '../../lib/native.ts'
import { lyingJob, lyingNonces, lyingRounds } from './lying-job.ts'

const native = loadNative()
native.loadBackend(resolve('build/Release/examples/gonka_lying_backend.so'))
try {
  const device = await native.openDevice({ device: 'lying:0' })
  for (let round = 0; round < lyingRounds; round++) {
    const found: [string, number, number][] = []
    const request = { job: lyingJob(round), firstNonce: 0n, nonceCount: lyingNonces }
    await device.matmulPow(request, (nonces, bi, bj) => {
      for (const [i, nonce] of nonces.entries()) found.push([String(nonce), bi[i] as number, bj[i] as number])
    })
    process.stdout.write(`${JSON.stringify(found)}\n`)
  }
  await device.close()
} catch (error) {
  process.stderr.write(`${(error as { code?: string }).code}: ${(error as Error).message}\n`)
  process.exitCode = 1
}
