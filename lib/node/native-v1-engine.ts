// PoC v1 on a device of the native addon.

import type { NativeApi, Telemetry } from '../native-api.ts'
import type { Log } from './log.ts'
import { keptDevice } from './native-device.ts'
import type { PocV1Engine } from './poc-v1.ts'

/** The device opens with the first model and stays open. */
export function nativeV1Engine(native: () => Promise<NativeApi>, device: string, log: Log): PocV1Engine {
  const kept = keptDevice(native, device, log)
  return {
    name: `native ${device}`,
    async open(params, blockHash, signal) {
      const model = kept.load((handle, until) => handle.pocV1Open({ params, blockHash }, undefined, until))
      await model.use(async () => undefined, signal)
      return {
        run: (request, onBatch, until) => model.use((session) => session.run(request, onBatch, until), until),
        close: () => model.close(),
      }
    },
    telemetry: (): Promise<Telemetry | undefined> => kept.telemetry(),
    close: () => kept.close(),
  }
}
