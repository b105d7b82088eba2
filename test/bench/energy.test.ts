// Energy meters over a powercap folder and telemetry made by the test.
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { type EnergyMeter, measureEnergy, openEnergyMeter } from '../../lib/bench/energy.ts'
import { GonkaError } from '../../lib/errors.ts'
import type { Telemetry } from '../../lib/native-api.ts'
import { noTelemetry } from '../telemetry.ts'

const linux = process.platform === 'linux' ? {} : { skip: 'RAPL is Linux' }
const cpu = {
  id: 'cpu:0',
  telemetry: () => Promise.reject(new Error('a CPU meter must not ask for telemetry')),
}

async function powercap(zones: Record<string, { name: string; energy: number | string; range?: number }>) {
  const folder = await mkdtemp(join(tmpdir(), 'powercap-'))
  for (const [zone, { name, energy, range = 262_143_328_850 }] of Object.entries(zones)) {
    await mkdir(join(folder, zone))
    await writeFile(join(folder, zone, 'name'), `${name}\n`)
    await writeFile(join(folder, zone, 'energy_uj'), `${energy}\n`)
    await writeFile(join(folder, zone, 'max_energy_range_uj'), `${range}\n`)
  }
  const set = (zone: string, energy: number | string) => writeFile(join(folder, zone, 'energy_uj'), `${energy}\n`)
  return { folder, set, remove: () => rm(folder, { recursive: true }) }
}

async function available(meter: Awaited<ReturnType<typeof openEnergyMeter>>): Promise<EnergyMeter> {
  if (!meter.available) throw new Error(meter.reason)
  return meter
}

t.test('RAPL: packages and memory, each once, across the end of a counter', linux, async (t) => {
  const tree = await powercap({
    'intel-rapl:0': { name: 'package-0', energy: 1_000_000, range: 5_000_000 },
    'intel-rapl:0:0': { name: 'core', energy: 77 },
    'intel-rapl:0:1': { name: 'dram', energy: 500_000 },
    'intel-rapl:1': { name: 'package-1', energy: 4_000_000, range: 5_000_000 },
    'intel-rapl:2': { name: 'psys', energy: 9 },
    'intel-rapl-mmio:0': { name: 'package-0', energy: 1_000_000 },
  })
  const meter = await available(await openEnergyMeter(cpu, { powercap: tree.folder }))
  t.equal(meter.method, 'RAPL package-0 + dram + package-1')
  t.equal((await meter.read()).joules, 0)
  for (const zone of ['intel-rapl:0:0', 'intel-rapl:2', 'intel-rapl-mmio:0']) await tree.set(zone, 123_456_789)
  await tree.set('intel-rapl:0', 3_000_000)
  await tree.set('intel-rapl:0:1', 750_000)
  await tree.set('intel-rapl:1', 1_000_000)
  const before = performance.now() / 1000
  const reading = await meter.read()
  t.equal(reading.joules, 2 + 0.25 + 2, 'package 1 went over its end: from 4 to 5 and from 0 to 1')
  t.ok(reading.seconds >= before && reading.seconds <= performance.now() / 1000)
  const [first, second] = await Promise.all([meter.read(), meter.read()])
  t.equal(first.joules, 4.25, 'readings at once count nothing twice')
  t.equal(second.joules, 4.25)
  await tree.set('intel-rapl:1', 'nonsense')
  await t.rejects(meter.read(), { code: 'ERR_GK_DEVICE_ERROR', message: /expected microjoules, got "nonsense"/ })
  await tree.set('intel-rapl:1', '')
  await t.rejects(meter.read(), { code: 'ERR_GK_DEVICE_ERROR' })
  await tree.set('intel-rapl:1', 2_000_000)
  t.equal((await meter.read()).joules, 5.25, 'and goes on when it can be read again')
  meter.close()
  meter.close()
  await tree.remove()
})

t.test('RAPL: why there is none', linux, async (t) => {
  const reason = async (folder: string) => {
    const meter = await openEnergyMeter(cpu, { powercap: folder })
    return meter.available ? 'available' : meter.reason
  }
  t.match(await reason('/nonexistent/powercap'), /does not exist: the kernel offers no energy counters/)
  const empty = await powercap({ 'intel-rapl:0:0': { name: 'core', energy: 1 } })
  t.match(await reason(empty.folder), /has no intel-rapl package/)
  await empty.remove()
  const closed = await powercap({ 'intel-rapl:0': { name: 'package-0', energy: 1 } })
  await chmod(join(closed.folder, 'intel-rapl:0', 'energy_uj'), 0)
  const said = await reason(closed.folder)
  // Root may read everything.
  if (process.getuid?.() !== 0) t.match(said, /may not be read; allow it with: sudo chmod a\+r/)
  await closed.remove()
})

function gpu(readings: Partial<Telemetry>[]) {
  let turn = 0
  return {
    id: 'cuda:0',
    telemetry: async () => ({
      ...noTelemetry,
      source: 'NVML 12.1',
      ...readings[Math.min(turn++, readings.length - 1)],
    }),
  }
}

t.test('a counter is read as differences and may not fall', async (t) => {
  const device = gpu([{ energyJ: 1000.5 }, { energyJ: 1000.5 }, { energyJ: 1012.75 }, { energyJ: 3 }, {}])
  const meter = await available(await openEnergyMeter(device))
  t.equal(meter.method, 'total energy counter (NVML 12.1)')
  const { result, energy } = await measureEnergy(meter, async () => 'done')
  t.equal(result, 'done')
  t.same(energy, { method: meter.method, joules: 12.25, reason: '' })
  await t.rejects(meter.read(), { code: 'ERR_GK_DEVICE_ERROR', message: /fell from 1012.75 J to 3 J/ })
  await t.rejects(meter.read(), { code: 'ERR_GK_DEVICE_ERROR', message: /no energy any more: energy: Not Supported/ })
  const lost = await measureEnergy(meter, async () => 1)
  t.match(lost.energy, { method: 'not available', joules: undefined, reason: /no energy any more/ })
})

t.test('without a counter, power times time', async (t) => {
  const seconds = () => performance.now() / 1000
  const beforeOpen = seconds()
  const meter = await available(await openEnergyMeter(gpu([{ powerW: 100 }, { powerW: 300 }, { powerW: 300 }])))
  const afterOpen = seconds()
  t.match(meter.method, /^power readings summed every 100 ms/)
  const first = await meter.read()
  t.ok(first.joules >= 100 * (first.seconds - afterOpen) && first.joules <= 300 * (first.seconds - beforeOpen))
  const second = await meter.read()
  t.ok(Math.abs(second.joules - first.joules - 300 * (second.seconds - first.seconds)) < 1e-9)
  meter.close()
})

t.test('neither: the reason', async (t) => {
  t.same(await openEnergyMeter(gpu([{}])), {
    available: false,
    reason: 'cuda:0 reports neither energy nor power: energy: Not Supported',
  })
  const mute = {
    id: 'example:0',
    telemetry: () => Promise.reject(new GonkaError('ERR_GK_UNSUPPORTED', 'example:0: reads no sensors')),
  }
  const meter = await openEnergyMeter(mute)
  t.same(meter, { available: false, reason: 'example:0: reads no sensors' })
  const { result, energy } = await measureEnergy(meter, async () => 7)
  t.equal(result, 7)
  t.same(energy, { method: 'not available', joules: undefined, reason: 'example:0: reads no sensors' })
  await t.rejects(
    measureEnergy(meter, () => Promise.reject(new Error('the work failed'))),
    /the work failed/,
  )
})
