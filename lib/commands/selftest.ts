/**
 * selftest: the known answers of every implementation on one device.
 *
 * JSON: {"device", "passed", "failed", "skipped", "results": [{"op", "implementation", "case", "status" ("pass",
 * "fail", "skip"), "detail", "aggregate_error", "element_error"}]}. Exit code 1 if one failed or nothing was tested.
 */
import { Option } from 'commander'
import type { Io } from '../io.ts'
import { type OpName, opNames } from '../native-api.ts'
import { startCheckReport } from './check-report.ts'
import { type Define, type DeviceOptions, jsonOption, openDevice, withDeviceOptions } from './command.ts'

export const define: Define = (command, run) => {
  withDeviceOptions(command)
    .addOption(new Option('--op <op>', 'only this op').choices(opNames))
    .option(...jsonOption)
    .action(run(selftest))
}

interface Options extends DeviceOptions {
  readonly op?: OpName
  readonly json?: boolean
}

async function selftest(io: Io, options: Options): Promise<number> {
  const device = await openDevice(io, options)
  const report = startCheckReport(io, options.json === true)
  try {
    const summary = await device.selftest(options.op, report.add, io.signal)
    return report.finish(summary, { device: device.id })
  } finally {
    report.abandon()
    await device.close()
  }
}
