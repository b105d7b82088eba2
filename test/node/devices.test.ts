import { existsSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import process from 'node:process'
import t from 'tap'
import type { Telemetry } from '../../lib/native-api.ts'
import { createEnergy } from '../../lib/node/energy.ts'
import { gpuReader } from '../../lib/node/gpu.ts'
import { noTelemetry } from '../telemetry.ts'
import { initBody, removeFolder, startNode, startPeer, until } from './peer.ts'

t.setTimeout(600_000)

// Before the addon is loaded: it reads its environment once.
process.env.GONKA_BACKEND_PATH = resolve('build/Release/test_backends/gonka_test_lost_device.so')
const { loadNative } = await import('../../lib/native.ts')
const native = async () => loadNative()

const params = {
  ...{ dim: 64, n_layers: 2, n_heads: 4, n_kv_heads: 2, vocab_size: 128, ffn_dim_multiplier: 1.3, multiple_of: 16 },
  ...{ norm_eps: 1e-5, rope_theta: 10_000, use_scaled_rope: false, seq_len: 16 },
}

/** Tells the device to fall out, and waits until it has. */
async function lose(t: { pass(what: string): void }): Promise<void> {
  const path = process.env.GONKA_TEST_LOSE as string
  writeFileSync(path, '')
  await until(() => !existsSync(path), 'the device falls out')
  t.pass('the device fell out')
}

t.test('a device that falls out is opened anew, and PoC v1 goes on', async (t) => {
  process.env.GONKA_TEST_LOSE = join(t.testdir({}), 'lose')
  const peer = await startPeer()
  const flags = { 'engine.kind': 'v1', 'engine.devices': 'fragile:0', 'engine.autostart': '' }
  const node = await startNode(flags, { native })
  t.teardown(async () => {
    await node.close()
    await peer.close()
    removeFolder(node.folder)
  })
  const round = {
    ...{ node_id: 1, node_count: 2, block_hash: 'AB12', block_height: 77, public_key: '02ab', batch_size: 8 },
    ...{ r_target: 1.6, fraud_threshold: 1e-7, params, url: peer.url },
  }
  t.equal((await node.call('POST', '/api/v1/pow/init/generate', round)).status, 200)
  await until(() => peer.accepted.size > 0, 'artifacts before')
  await lose(t)
  const before = peer.accepted.size
  await until(() => peer.accepted.size > before + 20, 'artifacts after')
  t.match((await node.call('GET', '/api/v1/pow/status')).json, { status: 'GENERATING' })
  t.match((await node.call('GET', '/metrics')).text, /gonka_miner_groups_generating 1/)
  await lose(t)
  const again = peer.accepted.size
  await until(() => peer.accepted.size > again + 20, 'artifacts after the second time')
  t.match(node.logs.join(''), /fell out and is opened anew/)

  // Its sensors are read beside the work, by no other program.
  let text = ''
  const read = async () => {
    text = (await node.call('GET', '/metrics')).text
  }
  // A look at the devices serves for two seconds, energy is read every five.
  const joules = /^gonka_miner_joules_per_nonce \d/m
  await until(() => read().then(() => text.includes('Fragile') && joules.test(text)), 'sensors and energy')
  t.match(text, /DCGM_FI_DEV_GPU_TEMP\{gpu="0",modelName="Fragile accelerator"\} 51/)
  t.match(text, /DCGM_FI_DEV_POWER_USAGE\{[^}]*\} 412/)
  t.match(text, /DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION\{[^}]*\} \d+000/)
  const { devices } = (await node.call('GET', '/api/v1/gpu/devices')).json
  t.same(devices, [
    {
      ...{
        index: 0,
        name: 'Fragile accelerator',
        total_memory_mb: 81920,
        free_memory_mb: 51200,
        used_memory_mb: 30720,
      },
      ...{ utilization_percent: 97, temperature_c: 51, is_available: true, error_message: null },
    },
  ])
  // A batch whose validation loses the device is computed again.
  t.equal((await node.call('POST', '/api/v1/pow/phase/validate')).status, 200)
  const { nonces, dist } = peer.callbacks[0]?.body ?? {}
  writeFileSync(process.env.GONKA_TEST_LOSE as string, '')
  const { block_hash, block_height, public_key, node_id } = round
  const batch = { block_hash, block_height, public_key, node_id, nonces, dist }
  t.equal((await node.call('POST', '/api/v1/pow/validate', batch)).status, 200)
  const verdict = () => peer.callbacks.find(({ path }) => path.endsWith('/validated'))?.body
  await until(() => verdict() !== undefined, 'the verdict')
  t.notOk(existsSync(process.env.GONKA_TEST_LOSE as string), 'the device was lost meanwhile')
  t.match(verdict(), { n_invalid: 0, fraud_detected: false, nonces: nonces as number[] })
  await node.call('POST', '/api/v1/pow/stop')
  t.equal((await node.call('GET', '/health')).status, 200)
})

t.test('a device that falls out is opened anew, and PoC v2 goes on', async (t) => {
  const folder = t.testdir({ model: {} })
  process.env.GONKA_TEST_LOSE = join(folder, 'lose')
  const model = join(folder, 'model')
  await loadNative().makeTinyModel({ directory: model, family: 'qwen3', seed: 1 })
  const peer = await startPeer()
  const flags = { 'engine.kind': 'v2', 'engine.devices': 'fragile:0', 'engine.model_dir': model }
  const node = await startNode(flags, { native })
  t.teardown(async () => {
    await node.close()
    await peer.close()
    removeFolder(node.folder)
  })
  t.equal((await node.call('POST', '/api/v1/inference/pow/init/generate', initBody(peer.url))).status, 200)
  await until(() => peer.accepted.size > 0, 'artifacts before')
  await lose(t)
  const before = peer.accepted.size
  await until(() => peer.accepted.size > before + 64, 'artifacts after')
  await node.call('POST', '/api/v1/inference/pow/stop')
  const nonces = [...peer.accepted.keys()].sort((a, b) => a - b)
  t.same(
    nonces,
    nonces.map((_, i) => 1 + 2 * i),
    'no hole where the device was lost',
  )
})

const sensors = (uuid: string, more: Partial<Telemetry>): Telemetry => ({ ...noTelemetry, uuid, ...more })

t.test('the tool lists, sensors of opened devices go before its figures', async (t) => {
  let asked = 0
  const rows = ['0, Card A, 1000, 400, 600, 5, 40, 100.5, GPU-a', '1, Card B, [N/A], [N/A], [N/A], 7, 41, [N/A], GPU-b']
  let own: Telemetry[] = []
  const tool = async () => {
    asked++
    return rows.join('\n')
  }
  const gpu = gpuReader(async () => own, tool, -1)
  t.match(await gpu.devices(), [
    { index: 0, name: 'Card A', total_memory_mb: 1000, used_memory_mb: 600, power_w: 100.5, is_available: true },
    { index: 1, name: 'Card B', total_memory_mb: null, power_w: null, is_available: false },
  ])
  own = [sensors('GPU-b', { temperatureC: 77, powerW: 33, memoryTotalBytes: 2 ** 30, energyJ: 10 })]
  t.match(await gpu.devices(), [
    { index: 0, temperature_c: 40 },
    { index: 1, name: 'Card B', temperature_c: 77, power_w: 33, total_memory_mb: 1024, energy_j: 10 },
  ])
  t.equal(asked, 2, 'asked while a card is not ours')
  own = [...own, sensors('GPU-a', { temperatureC: 50 })]
  t.match(await gpu.devices(), [{ temperature_c: 50 }, { temperature_c: 77 }])
  t.equal(asked, 2, 'not asked when all are')

  let calls = 0
  const none = gpuReader(
    async () => [sensors('X', { powerW: 5 })],
    async () => {
      calls++
      throw new Error('no such program')
    },
    -1,
  )
  t.match(await none.devices(), [{ index: 0, power_w: 5 }])
  await none.devices()
  t.equal(calls, 1, 'a tool that is not there is not started at every look')
})

t.test('energy by counter, and by power where there is none', async (t) => {
  let energyJ = 500
  const counted = createEnergy(
    gpuReader(
      async () => [sensors('A', { energyJ, powerW: 100 })],
      async () => '',
      -1,
    ),
    5,
  )
  await until(() => counted.joules() !== undefined, 'the first look')
  const before = counted.joules() as number
  energyJ = 750
  await until(() => (counted.joules() as number) > before, 'the counter counts')
  t.equal(counted.joules(), before + 250)
  t.equal(counted.watts(), 100)
  counted.close()
  const powered = createEnergy(
    gpuReader(
      async () => [sensors('A', { powerW: 100 })],
      async () => '',
      -1,
    ),
    5,
  )
  const began = performance.now()
  await until(() => (powered.joules() ?? 0) > 1, 'power over time')
  t.ok((powered.joules() as number) <= (100 * (performance.now() - began + 20)) / 1000)
  powered.close()
  const none = createEnergy(
    gpuReader(
      async () => [],
      async () => '',
      -1,
    ),
    5,
  )
  t.equal(none.joules(), undefined)
  t.equal(none.watts(), undefined)
  none.close()
})
