// PoC v1 rounds on one device: nonces per second and joules per nonce, as JSON on standard output.
//
//   node bench/gpu-poc.js [--device cuda:0] [--params NAME|FILE] [--seconds 10] [--batch N]
//
// The model is made first and one batch runs before the clock starts, so that memory is mapped and the pass is recorded. Energy
// is read from the device's counter around the timed batches; where there is none, the reason stands in its place.
import { readFileSync } from 'node:fs'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { namedParams, openDevice, openEnergyMeter, parseParams, runSession } from 'gonka-miner'

const { values: options } = parseArgs({
  options: {
    device: { type: 'string', default: 'cuda:0' },
    params: { type: 'string', default: 'default' },
    seconds: { type: 'string', default: '10' },
    batch: { type: 'string' },
  },
})
const seconds = Number(options.seconds)
if (!(seconds > 0)) throw new Error(`--seconds: expected a number above 0, got ${options.seconds}`)
const params =
  namedParams[options.params] ?? parseParams(JSON.parse(readFileSync(options.params, 'utf8')), options.params)

async function main() {
  const device = await openDevice({ device: options.device })
  try {
    const meter = await openEnergyMeter(device)
    const session = await device.pocV1Open({ params, blockHash: 'gpu-poc' })
    const batch = options.batch === undefined ? session.defaultBatch : Number(options.batch)
    const nonces = BigInt64Array.from({ length: Math.min(batch * 100_000, 2e7) }, (_, i) => BigInt(i))
    const request = { publicKey: 'gpu-poc', nonces, batch }
    let computed = 0
    let batches = 0
    let began = 0
    let before
    const read = () => (meter.available ? meter.read() : Promise.resolve(undefined))
    for await (const pass of runSession(session, request)) {
      if (++batches <= 3) {
        // Op by op, recorded, and the first replay.
        before = await read()
        began = performance.now()
        continue
      }
      computed += pass.computed
      if (performance.now() - began >= seconds * 1000) break
    }
    const elapsed = (performance.now() - began) / 1000
    const after = await read()
    const joules = before && after ? after.joules - before.joules : null
    process.stdout.write(
      `${JSON.stringify({
        device: device.id,
        device_name: (await device.report()).name,
        implementation: session.implementation,
        params: options.params,
        batch,
        init_seconds: session.initSeconds,
        nonces: computed,
        seconds: elapsed,
        nonces_per_second: computed / elapsed,
        joules_per_nonce: joules === null ? null : joules / computed,
        energy: meter.available
          ? { method: meter.method, error: meter.error }
          : { method: 'not available', reason: meter.reason },
        fallbacks: device.fallbacks(),
      })}\n`,
    )
    if (meter.available) meter.close()
    await session.close()
  } finally {
    await device.close()
  }
}

main().catch((error) => {
  process.stderr.write(`${error.code ?? error.name}: ${error.message}\n`)
  process.exitCode = 1
})
