// What share of the gemm-bound limit a PoC v2 round reaches, on this machine's CPU.
//
//   node bench/poc-v2.js [--model DIR] [--threads N] [--seq-len 1024] [--rounds 5] [--json]
//
// Without --model a random model of the shape of Qwen3 0.6B is made in a temporary folder (1.2 GB). The limit is the rate
// at which nonces would come if a nonce were nothing but the products with the model's weights, each as fast as the same
// product timed by itself beside the rounds (bench, packed weights, the model's type). Attention, norms, rope, generator
// and everything else count against the share. Rounds and timed products alternate; the share is the median of theirs.
// Products are averaged, not their medians taken: what disturbs the machine is in the round's time, too.
// "with attention" adds to the limit attention's own two products at the rate of the weights' products.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { makeTinyModel, openDevice } from 'gonka-miner'

const { values: options } = parseArgs({
  options: {
    model: { type: 'string' },
    threads: { type: 'string', default: '1' },
    'seq-len': { type: 'string', default: '1024' },
    rounds: { type: 'string', default: '5' },
    json: { type: 'boolean', default: false },
  },
})
const threads = Number(options.threads)
const seqLen = Number(options['seq-len'])
const rounds = Number(options.rounds)

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length
const percent = (x) => (100 * x).toFixed(1)
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]

/** Products of a nonce with the weights of one layer, and how many layers do all tokens. */
function products(config, type) {
  const { hidden_size: hidden, num_attention_heads: heads, num_key_value_heads: headsKv } = config
  const headDim = config.head_dim ?? hidden / heads
  const product = (n, k, dType, count) => ({ n, k, dType, count })
  return [
    product(heads * headDim, hidden, type, 1), // queries
    product(headsKv * headDim, hidden, type, 2), // keys, values
    product(hidden, heads * headDim, 'f32', 1), // output projection, added to the residual stream
    product(2 * config.intermediate_size, hidden, type, 1), // gate and up
    product(hidden, config.intermediate_size, 'f32', 1), // down
  ]
}

async function main(model) {
  const config = JSON.parse(readFileSync(join(model, 'config.json'), 'utf8'))
  const device = await openDevice({ threads })
  const session = await device.pocV2Open({ model })
  const round = async (first) => {
    const nonces = BigInt64Array.of(BigInt(first))
    const request = { blockHash: '9F2C', publicKey: '02a1', nonces, seqLen, kDim: 12, rng: 'murmur' }
    return (await session.run(request, () => undefined)).seconds
  }
  await round(0) // maps the memory that the others find mapped
  const peakBytes = process.resourceUsage().maxRSS * 1024

  const shapes = products(config, session.compute)
  // The last layer works on the last token alone, but for keys and values.
  const wholeLayers = config.num_hidden_layers - 1
  const kv = shapes[1]
  const flops = (shape, times) => 2 * seqLen * shape.n * shape.k * shape.count * times
  const gemmFlops = shapes.reduce((sum, shape) => sum + flops(shape, wholeLayers), 0) + flops(kv, 1)
  const headDim = config.head_dim ?? config.hidden_size / config.num_attention_heads
  // Two products over the visible half of [seqLen, seqLen].
  const attentionFlops = wholeLayers * 2 * seqLen * (seqLen + 1) * config.num_attention_heads * headDim

  const nonceSeconds = []
  const limitSeconds = []
  for (let i = 1; i <= rounds; i++) {
    let limit = 0
    for (const shape of shapes) {
      const { n, k, dType, count } = shape
      const problem = { op: 'gemm', m: seqLen, n, k, aType: session.compute, bType: session.dtype, dType, packed: true }
      const { samplesNs } = await device.bench({ problem, samples: 50, seconds: 0.3 })
      const layers = wholeLayers + (shape === kv ? 1 : 0)
      limit += (mean(samplesNs) / 1e9) * count * layers
    }
    limitSeconds.push(limit)
    nonceSeconds.push(await round(i))
  }
  const seconds = median(nonceSeconds)
  const limit = median(limitSeconds)
  const shares = nonceSeconds.map((nonce, i) => limitSeconds[i] / nonce)
  const share = median(shares)
  const result = {
    cpu: (await device.report()).name,
    threads,
    seq_len: seqLen,
    implementation: session.implementation,
    seconds_per_nonce: seconds,
    gemm_bound_seconds: limit,
    gemm_gflops: gemmFlops / limit / 1e9,
    share,
    share_least: Math.min(...shares),
    share_largest: Math.max(...shares),
    share_with_attention: share * (1 + attentionFlops / gemmFlops),
    weight_bytes: session.weightBytes,
    peak_resident_bytes: peakBytes,
    load_seconds: session.initSeconds,
  }
  await session.close()
  await device.close()
  if (options.json) {
    process.stdout.write(`${JSON.stringify(result, null, 2)}\n`)
    return
  }
  process.stdout.write(
    `${result.cpu}, ${threads} threads, sequence ${seqLen}: ${result.implementation}\n` +
      `${seconds.toFixed(2)} s per nonce; its products alone ${limit.toFixed(2)} s at ${result.gemm_gflops.toFixed(0)} Gflop/s\n` +
      `${percent(share)} % of the gemm-bound limit (${percent(result.share_least)} to ${percent(result.share_largest)} in ` +
      `${rounds} rounds; ${percent(result.share_with_attention)} % with attention's products counted in)\n` +
      `loaded in ${session.initSeconds.toFixed(2)} s; at most ${(peakBytes / 1e9).toFixed(2)} GB resident, ` +
      `weights ${(session.weightBytes / 1e9).toFixed(2)} GB\n`,
  )
}

let made
try {
  let { model } = options
  if (model === undefined) {
    model = made = mkdtempSync(join(tmpdir(), 'gonka-poc-v2-'))
    await makeTinyModel({ directory: made, family: 'qwen3', preset: 'qwen3-0.6b', seed: 1 })
  }
  await main(model)
} finally {
  if (made !== undefined) rmSync(made, { recursive: true })
}
