/**
 * conformance: every op x implementation x case, on a device or for a vendor's library in a child process.
 *
 * JSON: {"device" or "backend", "passed", "failed", "skipped", "results": [as selftest, with "device" for a library]}.
 * Exit code 1 if one failed or nothing was tested; a library that crashes or hangs fails.
 */
import { Option } from 'commander'
import { checkLibraryFile, runInChild } from '../backends.ts'
import type { Io } from '../io.ts'
import { type CheckResult, type CheckSummary, type ConformanceRequest, type OpName, opNames } from '../native-api.ts'
import { startCheckReport } from './check-report.ts'
import { type Define, integer, jsonOption, openDevice } from './command.ts'

export const define: Define = (command, run) => {
  command
    .option('--backend <file>', 'test the devices of this library, in a process of its own')
    .addOption(new Option('--device <id>', 'test this device').default('cpu:0').conflicts('backend'))
    .option('--threads <n>', 'worker threads of a CPU device (default: all)', integer(1, 4096))
    .addOption(new Option('--op <op>', 'only this op').choices(opNames))
    .option('--implementation <name>', 'only this implementation')
    .option('--full', 'also the slow cases')
    .option(...jsonOption)
    .action(run(conformance))
}

interface Options {
  readonly backend?: string
  readonly device: string
  readonly threads?: number
  readonly op?: OpName
  readonly implementation?: string
  readonly full?: boolean
  readonly json?: boolean
}

async function conformance(io: Io, options: Options): Promise<number> {
  const request: ConformanceRequest = {
    ...(options.op === undefined ? {} : { op: options.op }),
    ...(options.implementation === undefined ? {} : { implementation: options.implementation }),
    full: options.full === true,
    command: `gonka-miner conformance ${options.backend === undefined ? `--device ${options.device}` : `--backend ${options.backend}`}`,
  }
  const report = startCheckReport(io, options.json === true)
  try {
    if (options.backend !== undefined) {
      const path = options.backend
      await checkLibraryFile(path)
      let summary: CheckSummary = { passed: 0, failed: 0, skipped: 0 }
      await runInChild(
        { kind: 'conformance', path, request, ...(options.threads === undefined ? {} : { threads: options.threads }) },
        (message) => {
          if (message.kind === 'result') report.add(message.result, message.device)
          if (message.kind === 'done' && message.summary) summary = message.summary
        },
        { signal: io.signal },
      )
      return report.finish(summary, { backend: path })
    }
    const device = await openDevice(io, {
      device: options.device,
      ...(options.threads === undefined ? {} : { threads: options.threads }),
    })
    try {
      const add = (result: CheckResult) => report.add(result)
      return report.finish(await device.conformance(request, add, io.signal), { device: device.id })
    } finally {
      await device.close()
    }
  } finally {
    report.abandon()
  }
}
